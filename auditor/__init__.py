"""A policy-as-code compliance auditor for Azure VM backup.

As a library: ``from auditor import load_inventory, load_rules, evaluate`` (docs/library.md).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auditor.api import Evaluation, LoadedInventory, Verdict, evaluate, load_inventory, load_rules

__version__ = "0.1.0"
__all__ = ["Evaluation", "LoadedInventory", "Verdict", "__version__", "evaluate", "load_inventory", "load_rules"]

if not TYPE_CHECKING:

    def __getattr__(name):  # noqa: ANN001, ANN202 -- type checkers read the imports above
        """Load the library when something of it is first asked for: the command does without it."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module("auditor.api"), name)
