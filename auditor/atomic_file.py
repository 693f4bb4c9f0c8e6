"""Writes a file whole or not at all, or adds to one."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from auditor.errors import UsageError


def check_writable(path: Path) -> None:
    """Raise ``UsageError`` now rather than after the work, when ``path`` could not be written."""
    path = path.resolve()
    folder = path.parent
    if path.is_dir():
        message = f"cannot write {path}: it is a folder"
        raise UsageError(message, "Name a file inside it.")
    if not folder.is_dir():
        message = f"cannot write {path}: there is no folder {folder}"
        raise UsageError(message, f"Make it first: mkdir -p {folder}")
    if path.exists() and not path.is_file():
        return  # a device or a pipe is written into
    try:
        # Asking for permission bits would not see a read-only or full file system; a file tells.
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{path.name}."):
            pass
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise UsageError(message, "Choose another folder with -o.") from error


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the place of ``path`` only when the block ends well.

    A link is followed; a device or a pipe is written into.

    Raises:
        UsageError: the file cannot be written (no space, no permission).
    """
    path = path.resolve()
    temporary: Path | None = None
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
            return
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner can read; a report gets the permissions of any new file.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~umask)
        temporary.replace(path)
        temporary = None
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise UsageError(message, "Nothing was written; what was there before is as it was.") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def check_appendable(path: Path) -> int:
    """Return how many bytes a file holds now; raise ``UsageError`` when nothing could be added to it."""
    path = path.resolve()
    if not path.is_file():
        check_writable(path)
        return 0
    try:
        with path.open("ab"):
            return path.stat().st_size
    except OSError as error:
        message = f"cannot add to {path}: {error.strerror}"
        raise UsageError(message, "Choose another file.") from error


def append(path: Path, content: bytes) -> None:
    """Add lines to the end of a file, which is made when it is not there; what it held stays whatever happens.

    Raises:
        UsageError: they cannot be written; nothing of them is.
    """
    path = path.resolve()
    try:
        held = path.stat().st_size if path.is_file() else 0
        if held:
            with path.open("rb") as file:
                file.seek(-1, os.SEEK_END)
                content = (b"" if file.read(1) == b"\n" else b"\n") + content
        with path.open("ab", buffering=0) as file:
            try:
                left = memoryview(content)
                while left:
                    left = left[file.write(left) :]
                if path.is_file():
                    os.fsync(file.fileno())
            except OSError:
                if path.is_file():
                    file.truncate(held)
                raise
    except OSError as error:
        message = f"cannot add to {path}: {error.strerror}"
        raise UsageError(message, "Nothing was added; what was there before is as it was.") from error
