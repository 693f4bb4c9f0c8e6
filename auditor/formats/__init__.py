"""The assessment -> bytes: each format is one small module with a ``write(report, file)``."""

from importlib import import_module
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from auditor.assessment.model import Report
from auditor.errors import UsageError
from auditor.yaml_source import did_you_mean

# The longest suffix that fits wins. A module is imported only when its format is asked for.
SUFFIXES = {".json": "as_json", ".csv": "as_csv", ".html": "as_html"}


class Writer(Protocol):
    """A module that writes one format."""

    def write(self, report: Report, file: BinaryIO) -> None:
        """Write the whole report."""


def writer_for(output: str) -> tuple[Writer, str]:
    """Return the writer for ``[FORMAT:]FILE`` and the file; ``-`` is JSON on standard output.

    Raises:
        UsageError: the name does not tell a format.
    """
    if output == "-":
        return _module("as_json"), "-"
    name, colon, rest = output.partition(":")
    if colon and f".{name}" in SUFFIXES and rest:
        return _module(SUFFIXES[f".{name}"]), rest
    lower = Path(output).name.lower()
    fitting = [suffix for suffix in SUFFIXES if lower.endswith(suffix)]
    if not fitting:
        suffix = "".join(Path(output).suffixes[-1:]) or output
        known = ", ".join(entry.removeprefix(".") for entry in SUFFIXES)
        hint = f"Known formats: {known}. {did_you_mean(suffix, list(SUFFIXES)) if suffix != output else ''}".strip()
        raise UsageError(f"cannot tell the format of {output}", hint)
    return _module(SUFFIXES[max(fitting, key=len)]), output


def _module(name: str) -> Writer:
    return cast("Writer", import_module(f"auditor.formats.{name}"))
