"""``python -m auditor.reference docs`` writes the generated pages; ``--check`` tells whether they are up to date."""

import sys
from pathlib import Path

from auditor.reference.pages import pages


def main(arguments: list[str]) -> int:
    """Write the pages into a folder, or with ``--check`` name those that are out of date."""
    folder, check = Path(arguments[0]), "--check" in arguments
    wanted = pages()
    stale = [name for name, text in wanted.items() if not _is(folder / name, text)]
    gone = [path for path in sorted((folder / "rules").glob("*.md")) if f"rules/{path.name}" not in wanted]
    for name in stale:
        sys.stdout.write(f"{'out of date' if check else 'wrote'}: {folder / name}\n")
        if not check:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(wanted[name], encoding="utf-8")
    for path in gone:
        sys.stdout.write(f"{'no longer wanted' if check else 'removed'}: {path}\n")
        if not check:
            path.unlink()
    return 1 if check and (stale or gone) else 0


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
