"""A file is written whole or not at all."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from auditor.atomic_file import atomic_file, check_writable
from auditor.errors import UsageError


@pytest.fixture
def umask() -> Iterator[int]:
    before = os.umask(0o027)
    yield 0o027
    os.umask(before)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_file_takes_its_place_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with atomic_file(path) as file:
        file.write(b"new")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert files(tmp_path) == ["report.json"]


def test_an_older_file_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b"old and longer")
    with atomic_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old and longer"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1), MemoryError()])
@pytest.mark.parametrize("before", [b"old", None])
def test_an_exception_leaves_what_was_there_and_nothing_else(
    tmp_path: Path,
    error: BaseException,
    before: bytes | None,
) -> None:
    path = tmp_path / "report.json"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(type(error)), atomic_file(path) as file:  # noqa: PT012 -- the block is what is tested
        file.write(b"half")
        raise error
    assert files(tmp_path) == (["report.json"] if before is not None else [])
    assert before is None or path.read_bytes() == before


def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b"old")
    with pytest.raises(UsageError) as caught, atomic_file(path) as file:  # noqa: PT012
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.message == f"cannot write {path}: No space left on device"
    assert caught.value.hint == "Nothing was written; what was there before is as it was."
    assert (files(tmp_path), path.read_bytes()) == (["report.json"], b"old")


def test_a_file_that_cannot_be_put_in_its_place_leaves_nothing_behind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(UsageError, match="Permission denied"), atomic_file(tmp_path / "a") as file:
        file.write(b"new")
    assert files(tmp_path) == []


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(UsageError, match="cannot write"), atomic_file(tmp_path / "a") as file:
        file.write(b"new")
    assert files(tmp_path) == ["a"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file or directory"), atomic_file(tmp_path / "none" / "a"):
        pass
    assert files(tmp_path) == []


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path, umask: int) -> None:
    with atomic_file(tmp_path / "a") as file:
        file.write(b"new")
    assert mode(tmp_path / "a") == 0o666 & ~umask
    assert os.umask(umask) == umask  # looking at it changed nothing


@pytest.mark.usefixtures("umask")
def test_a_file_that_was_there_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    path.chmod(0o604)
    with atomic_file(path) as file:
        file.write(b"new")
    assert mode(path) == 0o604


def test_what_can_be_written_is_not_touched_by_asking(tmp_path: Path) -> None:
    path = tmp_path / "a"
    check_writable(path)
    assert files(tmp_path) == []
    path.write_bytes(b"old")
    check_writable(path)
    assert (files(tmp_path), path.read_bytes()) == (["a"], b"old")


def test_what_could_not_be_written_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="it is a folder") as caught:
        check_writable(tmp_path)
    assert caught.value.hint == "Name a file inside it."
    with pytest.raises(UsageError, match="there is no folder") as caught:
        check_writable(tmp_path / "none" / "a")
    assert caught.value.hint == f"Make it first: mkdir -p {tmp_path / 'none'}"

    def refuse(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    with pytest.raises(UsageError, match="Read-only file system"):
        check_writable(tmp_path / "a")
