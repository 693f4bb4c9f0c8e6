"""What all tests share: they can import ``building``, and nothing of the caller's environment reaches them."""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

from effort import TIMES

settings.register_profile(
    "auditor",
    deadline=None,
    derandomize=TIMES == 1,
    max_examples=100 * TIMES,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("auditor")


# As the command does: DuckDB would look for it twice for each value that it is given.
sys.modules.setdefault("pandas", None)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CI", "GITHUB_ACTIONS", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "AUDITOR_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
