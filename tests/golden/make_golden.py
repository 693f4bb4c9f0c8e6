"""The page of the example estate as it was last looked at: ``python tests/golden/make_golden.py`` writes it again.

The verdicts that the page embeds stand beside it as JSON, since libraries deflate the same data to different bytes; its
script and styles are those of reports/templates/, of which it has the hashes.
"""

import base64
import io
import json
import re
import sys
import zlib
from pathlib import Path

from auditor.cli.audit import assessed
from auditor.cli.live import LiveFlags
from auditor.cli.question import Flags, settle
from auditor.formats import as_html

FOLDER = Path(__file__).resolve().parent
EXAMPLES = FOLDER.parent.parent / "examples"
AS_OF = "2026-11-02T06:00:00Z"
_DATA = re.compile(r'(<script type="application/octet-stream" id="explore-data">)([^<]*)')
_OWN = re.compile(r"<(style|script)>.*?</\1>", re.DOTALL)


def golden() -> dict[str, str]:
    """Return the golden files: the page without its data, and the data."""
    flags = Flags(config=EXAMPLES / "auditor.yaml", as_of=AS_OF, exemptions=EXAMPLES / "exemptions.yaml")
    with assessed([str(EXAMPLES / "estate")], settle(flags), None, LiveFlags()) as assessment:
        report = assessment.report
    file = io.BytesIO()
    as_html.write(report, file)
    page = file.getvalue().decode()
    found = _DATA.search(page)
    assert found is not None
    data = json.loads(zlib.decompress(base64.b64decode(found[2]), -15))
    page = _DATA.sub(r"\1report.data.json, deflated", page)
    return {
        "report.html": _OWN.sub(r"<\1>reports/templates/</\1>", page),
        "report.data.json": json.dumps(data, indent=1, ensure_ascii=False) + "\n",
    }


def main() -> None:
    """Write what has changed and name it."""
    for name, text in golden().items():
        path = FOLDER / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
