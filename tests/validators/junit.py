"""Has xmllint judge our JUnit XML by the schema that Jenkins publishes (tests/schemas/junit-10.xsd)."""

import io
import shutil
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from building import EstateBuilder, estate  # noqa: E402 -- after the path that it is found on

from auditor.formats import as_junit  # noqa: E402

SCHEMA = TESTS / "schemas" / "junit-10.xsd"


def mixed() -> EstateBuilder:
    """Return an estate with passes, violations, unknown verdicts and a gap."""
    named = estate().vault("local", "LocallyRedundant").policy().vm("web").item("web").vm("db", osProfile=None)
    return named.vm("a<b>&\"'\x1b\u202e\ufffe")


def documents() -> dict[str, tuple[bytes, bool]]:
    """Return documents by name, and whether they are right: some are broken on purpose."""
    reports = {
        "mixed": mixed().audit().report,
        "strict": mixed().audit(strict=True).report,
        "gate off": mixed().audit(fail_on="never").report,
        "empty": estate().audit().report,
    }
    made = {}
    for name, report in reports.items():
        file = io.BytesIO()
        as_junit.write(report, file)
        made[name] = (file.getvalue(), True)
    as_junit.MOST_CASES = 1
    file = io.BytesIO()
    as_junit.write(reports["mixed"], file)
    made["by subscription"] = (file.getvalue(), True)
    right = made["mixed"][0]
    made["a case without a name"] = (right.replace(b'" name="', b'" nam="', 1), False)
    made["an element of no meaning"] = (right.replace(b"<properties>", b"<property/><properties>", 1), False)
    made["a time that is none"] = (right.replace(b'time="0"', b'time="soon"', 1), False)
    made["an escape character"] = (right.replace(b"<testsuite ", b"\x1b<testsuite ", 1), False)
    return made


def main() -> int:
    """Print a line for each document; return 1 when one is judged otherwise than it should be."""
    xmllint = shutil.which("xmllint")
    if xmllint is None:
        sys.stdout.write("SKIPPED junit: xmllint is not there (Debian: apt-get install libxml2-utils)\n")
        return 0
    wrong = 0
    for name, (content, right) in documents().items():
        command = [xmllint, "--noout", "--nonet", "--schema", str(SCHEMA), "-"]
        told = subprocess.run(command, input=content, capture_output=True, check=False)
        accepted = told.returncode == 0
        wrong += accepted != right
        said = f"junit: {name} is {'accepted' if accepted else 'refused'}"
        sys.stdout.write(f"{'ok' if accepted == right else 'FAILED'} {said}\n")
        if accepted != right:
            sys.stdout.write(told.stderr.decode(errors="replace"))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
