"""Has Microsoft's Sarif.Multitool judge our SARIF, by the standard and by what GitHub asks, and its schema too."""

import io
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from building import estate  # noqa: E402 -- after the path that it is found on

from auditor.assessment.model import Report  # noqa: E402
from auditor.formats import as_sarif  # noqa: E402

MULTITOOL = HERE / "node_modules" / "@microsoft" / "sarif-multitool-linux"
Json = dict[str, Any]


def reports() -> Iterator[tuple[str, Report]]:
    """Yield reports by name."""
    built = estate().vault().vault("local", "LocallyRedundant").policy().vm("web").item("web").vm("db", osProfile=None)
    mixed = built.audit().report
    yield "mixed", mixed
    yield "baseline", built.audit(baseline=mixed).report
    yield "empty", estate().audit().report
    yield "hostile", built.vm("[a](https://evil.example) {0} \x1b\u202e\ud800<b>").whole().audit().report
    yield "clean", estate().vault().policy().vm("web").item("web").whole().audit(select=["vm-protected"]).report


def written(report: Report) -> bytes:
    """Return the bytes of a report."""
    file = io.BytesIO()
    as_sarif.write(report, file)
    return file.getvalue()


def documents() -> Iterator[tuple[str, Json]]:
    """Yield what is right."""
    for name, report in reports():
        yield name, json.loads(written(report))
    as_sarif.MOST_RESULTS = as_sarif.MOST_GAPS = 1
    yield "cut", json.loads(written(next(reports())[1]))


def _result(document: Json) -> Json:
    found: Json = document["runs"][0]["results"][0]
    return found


def _rule(document: Json) -> Json:
    found: Json = document["runs"][0]["tool"]["driver"]["rules"][0]
    return found


def _region(document: Json) -> Json:
    found: Json = _result(document)["locations"][0]["physicalLocation"]["region"]
    return found


# What is broken on purpose, by the validator that must see it.
BROKEN: dict[str, dict[str, Callable[[Json], object]]] = {
    "schema": {
        "a level that is none": lambda document: _result(document).update(level="fatal"),
        "a result without a message": lambda document: _result(document).pop("message"),
        "a line 0": lambda document: _region(document).update(startLine=0),
        "an unknown baseline state": lambda document: _result(document).update(baselineState="old"),
        "a suppression of an unknown kind": lambda document: _result(document).update(suppressions=[{"kind": "mine"}]),
        "a guid that is none": lambda document: document["runs"][0]["automationDetails"].update(guid="1"),
    },
    "multitool": {
        "a result without a place": lambda document: _result(document).update(locations=[]),
        "a rule without help": lambda document: _rule(document).pop("help"),
        "a rule without a description": lambda document: _rule(document).pop("fullDescription"),
        "an end before the start": lambda document: _region(document).update(endColumn=0, startColumn=9),
        "a rule that is not there": lambda document: _result(document).update(ruleIndex=999),
        "a relative address": lambda document: _rule(document).update(helpUri="not an address"),
    },
}


def accepted_by_schema(path: Path) -> bool:
    """Validate by the schema that comes with the tool."""
    check = str(Path(sys.executable).parent / "check-jsonschema")
    command = [check, "--schemafile", str(MULTITOOL / "sarif-2.1.0.json"), str(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def accepted_by_multitool(path: Path) -> bool:
    """Validate by the rules of the standard and of GitHub; the tool's exit code says nothing, so its log is read."""
    log = path.with_suffix(".log")
    command = [str(MULTITOOL / "Sarif.Multitool"), "validate", str(path), "--rule-kind", "Sarif;Ghas"]
    command += ["--quiet", "true", "-o", str(log), "--log", "ForceOverwrite"]
    subprocess.run(command, capture_output=True, check=False)
    run = json.loads(log.read_bytes())["runs"][0]
    assert run["invocations"][0]["executionSuccessful"], run["invocations"]
    levels = [result.get("level", "warning") for result in run.get("results", [])]
    return "error" not in levels


def install() -> str:
    """Install what package-lock.json pins; return why that was not possible, or nothing."""
    npm = shutil.which("npm")
    if npm is None:
        return "Node.js with npm is not installed"
    if not sys.platform.startswith("linux"):
        return "the tool is looked for on Linux only"
    if not (MULTITOOL / "Sarif.Multitool").is_file():
        command = [npm, "ci", "--fetch-retries=1", "--fetch-timeout=120000"]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"npm ci failed: {(done.stderr.strip().splitlines() or ['without a word'])[0]}"
    # What the package's own script would do; its wrapper is not used, since it hands our arguments to a shell.
    (MULTITOOL / "Sarif.Multitool").chmod(0o755)
    return ""


def main() -> int:
    """Print a line for each document; return 1 when one is judged otherwise than it should be."""
    why = install()
    if why:
        sys.stdout.write(f"SKIPPED sarif: {why}\n")
        return 0
    judges = {"schema": accepted_by_schema, "multitool": accepted_by_multitool}
    right = dict(documents())
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "report.sarif"

        def check(judge: str, what: str, document: Json, *, expected: bool) -> int:
            path.write_text(json.dumps(document), encoding="utf-8")
            accepted = judges[judge](path)
            said = f"sarif: {judge}: {what} is {'accepted' if accepted else 'refused'}"
            sys.stdout.write(f"{'ok' if accepted == expected else 'FAILED'} {said}\n")
            return int(accepted != expected)

        for judge in judges:
            for what, document in right.items():
                wrong += check(judge, what, document, expected=True)
            for what, spoil in BROKEN[judge].items():
                document = json.loads(json.dumps(right["mixed"]))
                spoil(document)
                wrong += check(judge, what, document, expected=False)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
