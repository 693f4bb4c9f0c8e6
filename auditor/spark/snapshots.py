"""Snapshots at any URL that Spark reads -> inventories, each verified against its manifest."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from auditor.errors import UsageError
from auditor.inventory.model import Inventory, Problem
from auditor.inventory.snapshot import (
    MANIFEST,
    PROBLEM_COLUMNS,
    Manifest,
    broken,
    check_hash,
    inventory_of,
    read_manifest,
)
from auditor.spark.session import told_plainly

_HINT = "Name a snapshot, a folder of snapshots or a pattern, and check that Spark may read it."


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """A snapshot: the URL of its folder, and the bytes of its manifest."""

    url: str
    data: bytes


def url_of(name: str) -> str:
    """Return the URL of a path of this machine; what is none is left to Spark."""
    return f"file://{Path(name).resolve()}" if "://" not in name and Path(name).parent.exists() else name


def find_snapshots(spark: SparkSession, names: Iterable[str]) -> list[Found]:
    """Find the snapshots in folders, however deep, each once.

    Raises:
        UsageError: there is none, or one that was not written to its end.
    """
    found: set[Found] = set()
    for name in names:
        with told_plainly(f"cannot read {name}", _HINT):
            url = url_of(name)
            manifests = _files(spark, url, MANIFEST).select("path", "content").collect()
            tables = _files(spark, url, "virtual_machines.parquet").select("path").collect()
        here = {Found(_folder(path), bytes(content)) for path, content in manifests}
        unfinished = {_folder(path) for (path,) in tables} - {snapshot.url for snapshot in here}
        if unfinished:
            raise broken(min(unfinished), f"it has no {MANIFEST}: it was not written to its end")
        if not here:
            raise UsageError(f"there is no snapshot in {name}", "Take one: auditor collect -o DIR.")
        found |= here
    return sorted(found)


def open_found(spark: SparkSession, found: Found) -> Inventory:
    """Read what a snapshot says of itself, and verify its files.

    Raises:
        UsageError: it is damaged, or of a format that this version does not know.
    """
    manifest = read_manifest(found.data, found.url)
    with told_plainly(f"cannot read {found.url}", _HINT):
        _verify(spark, found.url, manifest)
        rows = spark.read.parquet(f"{found.url}/problems.parquet").select(*PROBLEM_COLUMNS).collect()
    problems = tuple(sorted(Problem(*row) for row in rows))
    return inventory_of(manifest, found.data, Path(found.url), problems)


def _verify(spark: SparkSession, url: str, manifest: Manifest) -> None:
    """Hash every file where it is read: the bytes do not come here."""
    held = {table.file: table for table in manifest.tables.values()}
    files = spark.read.format("binaryFile").load([f"{url}/{name}" for name in held])
    for path, digest in files.selectExpr("path", "sha2(content, 256)").collect():
        check_hash(url, held[path.rpartition("/")[2]], digest)


def _files(spark: SparkSession, url: str, name: str) -> DataFrame:
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    return reader.option("pathGlobFilter", name).load(url)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
