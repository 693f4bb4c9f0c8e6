"""A session of Spark that says nothing by itself, and whose errors are lines."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import AnalysisException, ParseException, PySparkException
from pyspark.sql import SparkSession

from auditor.errors import AuditorError, UsageError
from auditor.text import visible

# What the compiled SQL takes for granted. A value that does not fit is an error, and so is a file that is not there:
# by other settings they would be nulls and missing rows.
SETTINGS = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.ansi.doubleQuotedIdentifiers": "false",
    "spark.sql.caseSensitive": "false",
    "spark.sql.parser.escapedStringLiterals": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
}
_JAVA = "Spark 4 needs Java 17 or newer: is it installed, or JAVA_HOME set?"


def open_spark(log: Path | None) -> SparkSession:
    """Return the session that there is, as under ``spark-submit``, or start one by Spark's own settings.

    Args:
        log: where to what Java prints is sent; nowhere else when ``None``.

    Raises:
        UsageError: it does not start.
    """
    started = SparkSession.builder.config("spark.ui.showConsoleProgress", "false").appName("azure-backup-auditor")
    try:
        with _printing_to(log):
            spark = SparkSession.getActiveSession() or started.getOrCreate()
    except (PySparkException, Py4JError, OSError) as error:
        raise UsageError(f"Spark does not start: {_line(error)}", _JAVA) from error
    for name, value in SETTINGS.items():
        spark.conf.set(name, value)
    return spark


@contextmanager
def told_plainly(what: str, hint: str) -> Iterator[None]:
    """Turn what Spark raises into a line that says what could not be done.

    Raises:
        UsageError: Spark could not do it.
        AuditorError: it did not take the SQL, which is nobody's fault but ours.
    """
    try:
        yield
    except (AnalysisException, ParseException) as error:
        if _about_files(error):
            raise UsageError(f"{what}: {_line(error)}", hint) from error
        raise AuditorError(f"{what}: {_line(error)}", "Please report this as a bug.") from error
    except (PySparkException, Py4JError) as error:
        raise UsageError(f"{what}: {_line(error)}", hint) from error


def _about_files(error: AnalysisException) -> bool:
    name = error.getCondition() or ""
    return name.startswith(("PATH_", "UNABLE_TO_INFER", "FAILED_READ_FILE", "DATA_SOURCE_NOT_FOUND", "CANNOT_"))


def _line(error: Exception) -> str:
    text = str(error.java_exception) if isinstance(error, Py4JJavaError) else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return visible(lines[0] if lines else type(error).__name__)[:300]


@contextmanager
def _printing_to(log: Path | None) -> Iterator[None]:
    """Let what is started meanwhile print into a file: Java keeps the descriptors that it begins with."""
    if log is None:
        yield
        return
    kept = [os.dup(1), os.dup(2)]
    try:
        with log.open("wb") as file:
            for descriptor in (1, 2):
                os.dup2(file.fileno(), descriptor)
        yield
    finally:
        for descriptor, own in zip((1, 2), kept, strict=True):
            os.dup2(own, descriptor)
            os.close(own)
