"""Has compliance-trestle judge our OSCAL Assessment Results, in an environment of its own: it brings 90 MB along."""

import io
import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from building import estate  # noqa: E402 -- after the path that it is found on
from test_hostile_text import HOSTILE, forged  # noqa: E402

from auditor.assessment.model import Report  # noqa: E402
from auditor.formats import as_oscal  # noqa: E402

TRESTLE = "compliance-trestle==5.2.0"  # 3.12.4 is the newest that takes OSCAL 1.1
# Beside what make installed, and gone with it.
CACHE = TESTS.parent / ".venv" / "validators" / "oscal"
Json = dict[str, Any]


def reports() -> Iterator[tuple[str, Report]]:
    """Yield reports by name."""
    built = estate().vault().vault("local", "LocallyRedundant").policy().vm("web").item("web").vm("db", osProfile=None)
    exemptions = (
        "- {id: EX-1, rule: vm-protected, scope: {subscription: /subscriptions/11111111-1111-1111-1111-111111111111},"
        " category: waiver, reason: Built again, owner: o@example.com, expires: 2026-09-01T00:00:00Z}\n"
    )
    mixed = built.audit(exemptions=exemptions).report
    yield "mixed", mixed
    yield "baseline", built.audit(baseline=mixed, profile="hardened").report
    yield "empty", estate().audit().report
    yield "clean", estate().vault().policy().vm("web").item("web").whole().audit(select=["vm-protected"]).report
    hostile = msgspec.structs.replace(forged(built.audit().report, "".join(HOSTILE)), as_of=mixed.as_of)
    yield "hostile", hostile


def document_of(report: Report) -> Json:
    """Return a report's document."""
    file = io.BytesIO()
    as_oscal.write(report, file)
    document: Json = json.loads(file.getvalue())
    return document


def _result(document: Json) -> Json:
    found: Json = document["assessment-results"]["results"][0]
    return found


def _verdict(document: Json) -> Json:
    found: Json = _result(document)["observations"][0]["props"][0]
    return found


# What is broken on purpose.
BROKEN: dict[str, Callable[[Json], object]] = {
    "a state that is none": lambda document: _result(document)["findings"][0]["target"]["status"].update(state="maybe"),
    "a target of no type": lambda document: _result(document)["findings"][0]["target"].update(type="control"),
    "no plan": lambda document: document["assessment-results"].pop("import-ap"),
    "no reviewed controls": lambda document: _result(document).pop("reviewed-controls"),
    "a time without a zone": lambda document: _result(document).update(start="2026-01-01T00:00:00"),
    "an empty value": lambda document: _verdict(document).update(value=""),
    "a value with a space before it": lambda document: _verdict(document).update(value=" fail"),
    "a name with a space in it": lambda document: _verdict(document).update(name="vm protected"),
    "a uuid of version 1": lambda document: _result(document).update(uuid="11111111-1111-1111-8111-111111111111"),
    "a uuid twice": lambda document: _result(document).update(uuid=_result(document)["observations"][0]["uuid"]),
    "an empty list": lambda document: _result(document).update(risks=[]),
    "something of our own": lambda document: _result(document).update(verdict="pass"),
}


def install() -> str:
    """Install the validator where it is not yet; return why that was not possible, or nothing."""
    if (CACHE / "ready").is_file() and (CACHE / "ready").read_text(encoding="utf-8") == TRESTLE:
        return ""
    try:
        venv.create(CACHE, clear=True, with_pip=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no environment could be made: {error}"
    command = [str(CACHE / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", TRESTLE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"{TRESTLE} cannot be installed: {([*done.stderr.strip().splitlines()] or ['pip does not say why'])[-1]}"
    (CACHE / "ready").write_text(TRESTLE, encoding="utf-8")
    return ""


def accepted(workspace: Path, document: Json) -> tuple[bool, str]:
    """Validate a document; return what was said of it, too."""
    file = workspace / "assessment-results" / "x" / "assessment-results.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document), encoding="utf-8")
    command = [str(CACHE / "bin" / "trestle"), "validate", "-f", str(file.relative_to(workspace))]
    done = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


def main() -> int:
    """Print a line for each document; return 1 when one is judged otherwise than it should be."""
    why = install()
    if why:
        sys.stdout.write(f"SKIPPED oscal: {why}\n")
        return 0
    right = {name: document_of(report) for name, report in reports()}
    cases = [(name, document, True) for name, document in right.items()]
    for name, spoil in BROKEN.items():
        document = json.loads(json.dumps(right["mixed"]))
        spoil(document)
        cases.append((name, document, False))
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        workspace = Path(name)
        command = [str(CACHE / "bin" / "trestle"), "init", "--local"]
        subprocess.run(command, cwd=workspace, capture_output=True, check=True)
        for what, document, expected in cases:
            found, said = accepted(workspace, document)
            word = "accepted" if found else "refused"
            sys.stdout.write(f"{'ok' if found == expected else 'FAILED'} oscal: {what} is {word}\n")
            if found != expected:
                sys.stdout.write(said)
                wrong += 1
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
