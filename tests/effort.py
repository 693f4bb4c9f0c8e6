"""How many examples a property is tried on: a few, the same ones every day; ``make test-thorough`` takes new ones."""

import os

TIMES = int(os.environ.get("EXAMPLES", "1"))


def examples(usual: int) -> int:
    """Return how many to take where so many are usual."""
    return usual * TIMES
