"""Jobs of VM backup as runs saw them, kept since Azure forgets them after 14 days. No verdict is ever made of them.

``jobs/RUN-ID.SHA-256.parquet`` holds the jobs that a run was the first to see, or to see in another state; the hash is
that of the file. Whatever order runs are kept in, the same jobs are read out of all files together.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import msgspec

from auditor.atomic_file import atomic_file
from auditor.errors import UsageError
from auditor.estate.database import Estate
from auditor.history.runs import JOBS
from auditor.inventory.facts import quiet_connection, quoted
from auditor.text import fold, visible
from auditor.timestamps import show_time

_NAME = re.compile(r"([0-9a-f]{64})\.([0-9a-f]{64})\.parquet")
_COLUMNS = {
    "key": "VARCHAR",
    "id": "VARCHAR",
    "vault_id": "VARCHAR",
    "vm_id": "VARCHAR",
    "container": "VARCHAR",
    "operation": "VARCHAR",
    "status": "VARCHAR",
    "started": "BIGINT",
    "ended": "BIGINT",
    "run_id": "VARCHAR",
    "seen": "BIGINT",
}
# A job in its latest state, which is the one that was last seen for the first time.
_EACH_ONCE = """
WITH states AS (
  SELECT * FROM kept
  QUALIFY row_number() OVER (PARTITION BY key, status, ended ORDER BY seen NULLS LAST, run_id) = 1
), placed AS (
  SELECT *, first_value(seen) OVER earliest AS first_seen, first_value(run_id) OVER earliest AS first_run,
         row_number() OVER (PARTITION BY key
                            ORDER BY seen DESC NULLS LAST, ended DESC NULLS LAST, status, run_id) AS place
  FROM states WINDOW earliest AS (PARTITION BY key ORDER BY seen NULLS LAST, run_id)
)
SELECT id, vault_id, vm_id, container, operation, status, started, ended, first_seen, first_run, seen, run_id
FROM placed WHERE place = 1 ORDER BY started NULLS FIRST, key
"""


class KeptJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job in its latest state; times are RFC 3339, ``None`` where Azure did not say them.

    ``first_seen`` is the time that the first run which saw the job judged at, ``state_seen`` that of the first run
    which saw it in the state that is told.
    """

    id: str
    vault: str
    vm: str
    operation: str
    status: str
    started: str | None
    ended: str | None
    first_seen: str | None
    first_run: str
    state_seen: str | None
    state_run: str


@dataclass(frozen=True, slots=True)
class KeptJobs:
    """Jobs by the time they started, and what of them could not be read."""

    jobs: Sequence[KeptJob]
    notices: Sequence[str] = ()


def keep_jobs(folder: Path, work: Path, estate: Estate, run_id: str) -> tuple[int, list[str]]:
    """Keep the jobs of a run that the history does not have yet, or not in this state or this early.

    Args:
        folder: the history.
        work: a folder that the database may write into.
        estate: the database of the run.
        run_id: the run.

    Returns:
        How many were kept, and which files of the history could not be read.

    Raises:
        UsageError: they cannot be written; nothing of them is.
    """
    kept, notices = _files(folder)
    if any(path.name.startswith(f"{run_id}.") for path in kept):
        return 0, notices
    try:
        return _keep(folder, work, estate, run_id, kept), notices
    except duckdb.IOException as error:
        said = str(error).splitlines()[0]
        raise UsageError(
            f"cannot keep the jobs of this run: {said}", "Check the space of the disk, and TMPDIR."
        ) from error


def _keep(folder: Path, work: Path, estate: Estate, run_id: str, kept: Sequence[Path]) -> int:
    seen, made = work / "jobs-seen.parquet", work / "jobs-new.parquet"
    now = "NULL" if estate.now is None else str(estate.now)
    estate.connection.execute(
        "COPY (SELECT key, id, vault_id, vm_id, container_name AS container, operation, status, started, ended,"
        f" {quoted(run_id)} AS run_id, CAST({now} AS BIGINT) AS seen FROM backup_jobs"
        " WHERE coalesce(management_type, 'AzureIaasVM') = 'AzureIaasVM')"
        f" TO {quoted(seen)} (FORMAT parquet)"
    )
    with quiet_connection(threads=1) as connection:
        connection.execute(f"CREATE VIEW kept AS {_all_of(kept)}")
        (count,) = connection.execute(
            f"COPY (SELECT s.* FROM read_parquet({quoted(seen)}) s WHERE NOT EXISTS (SELECT 1 FROM kept k"
            "  WHERE k.key = s.key AND k.status IS NOT DISTINCT FROM s.status AND k.ended IS NOT DISTINCT FROM s.ended"
            # The earliest run that saw a state is always kept, whichever comes first.
            "  AND (k.seen < s.seen OR (s.seen IS NULL AND k.seen IS NOT NULL)"
            "       OR (k.seen IS NOT DISTINCT FROM s.seen AND k.run_id <= s.run_id))) ORDER BY s.key)"
            f" TO {quoted(made)} (FORMAT parquet, COMPRESSION zstd)"
        ).fetchone() or (0,)
    seen.unlink()
    if count:
        digest = hashlib.sha256(made.read_bytes()).hexdigest()
        with made.open("rb") as source, atomic_file(folder / JOBS / f"{run_id}.{digest}.parquet") as file:
            shutil.copyfileobj(source, file)
    made.unlink()
    return int(count)


def read_jobs(folder: Path, resource: str = "") -> KeptJobs:
    """Read the jobs of a history, each once; of a VM or vault by its name or id, or of all.

    Raises:
        UsageError: the folder is no history, or cannot be listed.
    """
    kept, notices = _files(folder)
    with quiet_connection(threads=1) as connection, tempfile.TemporaryDirectory(prefix="auditor-") as spill:
        connection.execute(f"SET temp_directory = {quoted(spill)}")
        connection.execute(f"CREATE VIEW kept AS {_all_of(kept)}")
        rows = connection.execute(_EACH_ONCE)
        return KeptJobs([job for job in _jobs(rows) if not resource or _is_about(job, resource)], notices)


def _jobs(rows: duckdb.DuckDBPyConnection) -> Iterator[KeptJob]:
    while some := rows.fetchmany(2_000):
        for key, vault, vm, container, operation, status, started, ended, first, by, seen, run_id in some:
            yield KeptJob(
                id=key,
                vault=vault or key.lower().partition("/backupjobs/")[0],
                vm=vm or (container or "").rpartition(";")[2],
                operation=operation or "",
                status=status or "",
                started=_shown(started),
                ended=_shown(ended),
                first_seen=_shown(first),
                first_run=by,
                state_seen=_shown(seen),
                state_run=run_id,
            )


def _is_about(job: KeptJob, resource: str) -> bool:
    wanted = fold(resource.rstrip("/"))
    named = (fold(job.vm), fold(job.vault))
    return wanted in named or wanted in (name.rpartition("/")[2] for name in named)


def _shown(when: int | None) -> str | None:
    return show_time(when) if when is not None else None


def _all_of(files: Sequence[Path]) -> str:
    if not files:
        return f"SELECT {', '.join(f'CAST(NULL AS {kind}) AS {name}' for name, kind in _COLUMNS.items())} WHERE FALSE"
    return f"SELECT {', '.join(_COLUMNS)} FROM read_parquet([{', '.join(map(quoted, files))}])"


def _files(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the files that are whole, by the hash in their name, and what is to be said of the others."""
    try:
        listed = sorted(path for path in (folder / JOBS).iterdir() if not path.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = f"auditor audit --history {folder} makes one."
        raise UsageError(f"{folder} is no history: it has no folder {JOBS}", hint) from error
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {error.strerror}", "Check the permissions.") from error
    whole, notices = [], []
    with quiet_connection(threads=1) as connection:
        for path in listed:
            named = _NAME.fullmatch(path.name)
            shown = visible(f"{JOBS}/{path.name}")
            if named is None:
                notices.append(f"{shown} is none of the history's own files.")
            elif wrong := _wrong(connection, path, named[2]):
                notices.append(f"{shown} {wrong}, so jobs that only it holds are missing.")
            else:
                whole.append(path)
    return whole, notices


def _wrong(connection: duckdb.DuckDBPyConnection, path: Path, digest: str) -> str:
    try:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                return "was edited or damaged: it is not what its name says"
        found = connection.execute(f"DESCRIBE {_all_of([path])}").fetchall()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except duckdb.Error:
        return "is no file of jobs that this version can read"
    return "" if {name: kind for name, kind, *_ in found} == _COLUMNS else "has other columns than this version knows"
