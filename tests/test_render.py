"""auditor render: the bytes that audit writes, out of its report, and nothing out of anything else."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from building import estate, plain
from test_command import EXAMPLE, REPOSITORY, assert_one_error, run

from auditor.assessment.assess import sign
from auditor.errors import UsageError
from auditor.formats.from_json import read_report

FORMATS = ("json", "html", "csv", "junit.xml", "md", "ocsf.ndjson", "oscal.json", "sarif", "xlsx")


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the reports that ``audit`` makes of the example, with exemptions and a baseline."""
    folder = tmp_path_factory.mktemp("audited")
    exemptions = ["--exemptions", str(REPOSITORY / "examples" / "exemptions.yaml")]
    run("audit", *EXAMPLE, "-o", "last.json", folder=folder)
    outputs = [word for name in FORMATS for word in ("-o", f"r.{name}")]
    assert run("audit", *EXAMPLE, *exemptions, "--baseline", "last.json", *outputs, folder=folder).returncode == 1
    return folder


def test_what_is_rendered_is_what_audit_wrote(audited: Path, tmp_path: Path) -> None:
    outputs = [word for name in FORMATS for word in ("-o", f"again.{name}")]
    result = run("render", str(audited / "r.json"), *outputs, folder=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [f"Wrote again.{name}" for name in FORMATS]
    for name in FORMATS:
        assert (tmp_path / f"again.{name}").read_bytes() == (audited / f"r.{name}").read_bytes()


def test_json_on_standard_output_is_alone(audited: Path, tmp_path: Path) -> None:
    result = run("render", str(audited / "r.json"), "-o", "-", "-o", "html:page", folder=tmp_path)
    assert result.returncode == 0
    assert result.stdout == (audited / "r.json").read_text(encoding="utf-8")
    assert result.stderr == "Wrote page\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to write"),
        (["-o", "verdicts.parquet"], "verdicts.parquet cannot be made of a report"),
        (["-o", "page.html", "-o", "parquet:x"], "parquet:x cannot be made of a report"),
        (["-o", "r.pdf"], "cannot tell the format of r.pdf"),
        (["-o", "json:r.json"], "-o r.json would overwrite what is read"),
        (["-o", "page.html", "-o", "./page.html"], "is given twice"),
        (["-o", "none/page.html"], "there is no folder"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is(
    audited: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    whole = (audited / "r.json").read_bytes()
    (tmp_path / "r.json").write_bytes(whole)
    assert_one_error(run("render", "r.json", *arguments, folder=tmp_path), 2, words)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("r.json", whole)]


def _bad(whole: bytes) -> dict[str, tuple[bytes, str]]:
    return {
        "empty": (b"", "is not JSON, or cut off"),
        "text": (b"a report", "is not JSON, or cut off"),
        "latin-1": (whole.replace(b"Not compliant", b"Not compl\xefant", 1), "is not JSON, or cut off"),
        "cut": (whole[: len(whole) // 2], "is not JSON, or cut off"),
        "twice": (whole + whole, "is not JSON, or cut off"),
        "edited": (whole.replace(b'"outcome": "fail"', b'"outcome": "pass"', 1), "was edited or damaged"),
        "later": (whole.replace(b'"schema_version": "1.0"', b'"schema_version": "2.0"'), "of schema version 2.0"),
        "of another tool": (json.dumps({"data": [], "count": 0}).encode(), "is no report of auditor"),
        "list": (b"[]", "is no report of auditor"),
    }


@pytest.mark.parametrize("kind", list(_bad(b"")))
def test_what_is_no_whole_unedited_report_writes_nothing(audited: Path, tmp_path: Path, kind: str) -> None:
    data, words = _bad((audited / "r.json").read_bytes())[kind]
    (tmp_path / "bad.json").write_bytes(data)
    (tmp_path / "page.html").write_text("earlier")
    assert_one_error(run("render", "bad.json", "-o", "page.html", "-o", "all.csv", folder=tmp_path), 2, words)
    assert (tmp_path / "page.html").read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.json", "page.html"]


def test_a_report_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    assert_one_error(run("render", "folder.json", "-o", "p.html", folder=tmp_path), 2, "cannot read folder.json")
    assert_one_error(run("render", "none.json", "-o", "p.html", folder=tmp_path), 2, "cannot read none.json")


def test_rendering_needs_no_database(audited: Path, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom auditor.cli.app import app\n"
        f"app(['render', {str(audited / 'r.json')!r}, '-o', 'all.csv', '-o', 'again.json'], standalone_mode=False)\n"
        "assert not {'azure', 'duckdb'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_report_whose_findings_are_not_its_verdicts_is_refused(tmp_path: Path) -> None:
    report = estate().vm("web").whole().audit(select=["vm-protected"]).report
    letters = {"vm-protected": report.outcomes["vm-protected"].replace("f", "p")}
    path = tmp_path / "r.json"
    for forged, said in (
        (msgspec.structs.replace(report, outcomes=letters), "not what its verdict is"),
        (msgspec.structs.replace(report, findings=[]), "not every fail and unknown"),
        (msgspec.structs.replace(report, findings=[*report.findings, *report.findings]), "not every fail and unknown"),
    ):
        path.write_bytes(msgspec.json.encode(plain(sign(forged))))
        with pytest.raises(UsageError, match=said):
            read_report(path)
