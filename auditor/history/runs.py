"""The runs of a history: a file for each, so that two at once cannot meet, and a damaged one damages no other.

``runs/RUN-ID.json`` holds ``{"format": 1, "sha256": ..., "run": {...}}``; ``sha256`` is that of the sorted compact JSON
of ``run``. Equal inputs have the same run id and are one file.
"""

import hashlib
import re
from pathlib import Path
from typing import Annotated

import msgspec

from auditor.assessment.model import Sha256
from auditor.assessment.trend import History, Run, in_order
from auditor.atomic_file import atomic_file, check_writable
from auditor.errors import UsageError
from auditor.text import visible

FORMAT = 1
RUNS, JOBS = "runs", "jobs"
MAX_BYTES = 50_000_000
_NAME = re.compile(r"[0-9a-f]{64}\.json")


class _Format(msgspec.Struct, frozen=True):
    format: Annotated[int, msgspec.Meta(ge=1)]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    format: int
    sha256: Sha256
    run: msgspec.Raw


def open_history(folder: Path) -> None:
    """Make the folders of a history where they are not there yet, and complain now about what cannot be written later.

    Raises:
        UsageError: the folder cannot be made or written into.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--history {folder} is no folder", "Name a folder that is kept for it alone.")
    own = (folder / RUNS, folder / JOBS)
    try:
        for part in (folder, *own):
            part.mkdir(exist_ok=True)
    except FileNotFoundError as error:
        hint = f"Make it first: mkdir -p {folder.parent}"
        raise UsageError(f"cannot make {folder}: there is no folder {folder.parent}", hint) from error
    except OSError as error:
        raise UsageError(f"cannot make {folder}: {error.strerror}", "Choose another folder.") from error
    for part in own:
        check_writable(part / "run")


def read_history(folder: Path) -> History:
    """Read all runs of a history; what cannot be read is told and hides nothing else.

    Raises:
        UsageError: the folder is no history, or cannot be listed.
    """
    runs, notices = [], []
    for path in _listed(folder):
        if not _NAME.fullmatch(path.name):
            notices.append(f"{_shown(path)} is none of the history's own files.")
            continue
        found = _read(path)
        if isinstance(found, Run):
            runs.append(found)
        else:
            notices.append(f"{_shown(path)} {found}, so its run is missing.")
    return History(in_order(runs), notices)


def keep_run(folder: Path, run: Run) -> Path | None:
    """Keep a run; return the file, or ``None`` where the history has the run already.

    Raises:
        UsageError: it cannot be written; nothing of it is.
    """
    path = folder / RUNS / f"{run.run_id}.json"
    if path.exists() and isinstance(_read(path), Run):
        return None
    encoded = msgspec.json.encode(run, order="sorted")
    content = _File(format=FORMAT, sha256=hashlib.sha256(encoded).hexdigest(), run=msgspec.Raw(encoded))
    with atomic_file(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
    return path


def _listed(folder: Path) -> list[Path]:
    try:
        # Hidden files are what a run that was killed leaves, or what a file manager makes.
        return sorted(path for path in (folder / RUNS).iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = f"auditor audit --history {folder} makes one."
        raise UsageError(f"{folder} is no history: it has no folder {RUNS}", hint) from error
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {error.strerror}", "Check the permissions.") from error


def _read(path: Path) -> Run | str:
    """Return a run, or what is wrong with its file."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return "is too large for a run"
        data = path.read_bytes()
        number = msgspec.json.decode(data, type=_Format).format
        if number > FORMAT:
            return f"is of format {number}, which a newer version wrote (this one reads up to {FORMAT})"
        file = msgspec.json.decode(data, type=_File)
        if hashlib.sha256(_compact(file.run)).hexdigest() != file.sha256:
            return "was edited or damaged: its content is not what sha256 says"
        run = msgspec.json.decode(file.run, type=Run)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except msgspec.ValidationError as error:
        return f"is no run that this version can read ({error})"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"is not JSON, or cut off ({str(error) or 'nested too deeply'})"
    return run if path.name == f"{run.run_id}.json" else "holds another run than its name says"


def _compact(text: msgspec.Raw) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(text), order="sorted")


def _shown(path: Path) -> str:
    return visible(f"{path.parent.name}/{path.name}")
