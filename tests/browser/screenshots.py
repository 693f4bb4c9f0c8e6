"""Takes pictures of the example's page into docs/images: ``make screenshots``."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from pages import ROOT, example
from tools import HERE, find_tools

SHOWN = "vm-protected"


def main() -> int:
    """Make the page, and pictures of it."""
    tools = find_tools()
    why = tools.lacks("npm", "chromium")
    if why:
        sys.stderr.write(f"No pictures: {why}\n")
        return 1
    folder = ROOT / "docs" / "images"
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        page = example(Path(name) / "example")
        findings = json.loads(page.json.read_bytes())["findings"]
        verdict = next(f"{SHOWN}|{finding['resource']}" for finding in findings if finding["rule"] == SHOWN)
        command = [tools.node, str(HERE / "screenshots.mjs"), tools.chromium, str(page.html), str(folder), verdict]
        subprocess.run(command, check=True)
    for path in sorted(folder.glob("*.png")):
        sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KB\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
