"""The wheel: everything it needs is inside, and it works far from the checkout."""

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from building import NOW, estate

from auditor.estate.database import connect
from auditor.inventory.facts import quiet_connection

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_rules_cases_templates_starters_and_nothing_of_the_checkout(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (REPOSITORY / "rules").rglob("*.yaml"):
        assert f"auditor/_bundled/{path.relative_to(REPOSITORY).as_posix()}" in names
    for path in (REPOSITORY / "reports" / "templates").iterdir():
        assert f"auditor/_bundled/reports/templates/{path.name}" in names
    for path in (REPOSITORY / "starter").rglob("*.y*ml"):
        assert f"auditor/_bundled/{path.relative_to(REPOSITORY).as_posix()}" in names
    assert "auditor/py.typed" in names
    assert "auditor/estate/subjects.sql" in names
    assert not {name.partition("/")[0] for name in names} - {"auditor", wheel.name.rsplit("-", 3)[0] + ".dist-info"}


def test_pinned_npm_packages_name_no_place_to_fetch_them_from() -> None:
    lock = (REPOSITORY / "tests" / "browser" / "package-lock.json").read_text(encoding="utf-8")
    assert "://" not in lock
    assert '"resolved"' not in lock
    entries = [entry for name, entry in json.loads(lock)["packages"].items() if name]
    assert entries
    assert all(entry["integrity"].startswith("sha512-") for entry in entries)


def test_an_audit_runs_from_the_wheel_in_an_empty_venv_elsewhere(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    # The libraries are those of this venv, so that the test needs no network; ours comes out of the wheel alone.
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "libraries.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    where = subprocess.run(
        [python, "-c", "import auditor; print(auditor.__file__)"], check=True, capture_output=True, text=True
    )
    assert where.stdout.startswith(str(site))
    sound = estate().vm("web").item("web").vault().policy().whole()
    (tmp_path / "e.json").write_text(json.dumps({"value": sound.resources}))
    flags = ["--inventory", "e.json", "--primary-endpoint", "azure", "--as-of", NOW, "-o", "r.html", "-o", "r.json"]
    command = [str(tmp_path / "venv" / "bin" / "auditor"), "audit", *flags]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr + result.stdout
    assert result.stdout.startswith("Compliant")
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["summary"]["verdict"] == "Compliant"


def test_the_database_never_draws_on_standard_output() -> None:
    shown = "SELECT count(*) FROM duckdb_settings() WHERE name LIKE 'enable_progress_bar' AND value = 'true'"
    for connection in (connect(), quiet_connection()):
        assert connection.execute(shown).fetchone() == (0,)
    opened = [path for path in (REPOSITORY / "auditor").rglob("*.py") if "duckdb.connect(" in path.read_text("utf-8")]
    assert [path.name for path in opened] == ["facts.py"]
