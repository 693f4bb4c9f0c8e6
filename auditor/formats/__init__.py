"""The assessment -> bytes: each format is one small module with a ``write(report, file)``."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar, cast

from auditor.assessment.model import Diff, Report
from auditor.errors import UsageError
from auditor.yaml_source import did_you_mean

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from auditor.assessment.assess import Assessment

# The longest suffix that fits wins. A module is imported only when its format is asked for.
SUFFIXES = {
    ".json": "as_json",
    ".csv": "as_csv",
    ".html": "as_html",
    ".junit.xml": "as_junit",
    ".md": "as_markdown",
    ".ocsf.ndjson": "as_ocsf",
    ".oscal.json": "as_oscal",
    ".parquet": "as_parquet",
    ".sarif": "as_sarif",
    ".xlsx": "as_xlsx",
}
DIFF_SUFFIXES = {".json": "as_json", ".md": "diff_as_markdown"}

T_contra = TypeVar("T_contra", contravariant=True)


class Writer(Protocol[T_contra]):
    """A module that writes one format."""

    def write(self, report: T_contra, file: BinaryIO, /) -> None:
        """Write the whole of it."""


class MatrixWriter(Protocol):
    """A module that writes verdicts straight out of the database, while it is open."""

    def write_verdicts(self, assessment: "Assessment", file: BinaryIO, /) -> None:
        """Write all of them."""


def writes_matrix(writer: Writer[Report] | MatrixWriter) -> "TypeIs[MatrixWriter]":
    """Tell which of the two a writer is."""
    return hasattr(writer, "write_verdicts")


def writer_for(output: str) -> tuple[Writer[Report] | MatrixWriter, str]:
    """Return the writer of reports for ``[FORMAT:]FILE`` and the file; ``-`` is JSON on standard output.

    Raises:
        UsageError: the name does not tell a format.
    """
    name, path = _format_of(output, SUFFIXES)
    return cast("Writer[Report] | MatrixWriter", import_module(f"auditor.formats.{name}")), path


def diff_writer_for(output: str) -> tuple[Writer[Diff], str]:
    """Return the writer of diffs for ``[FORMAT:]FILE`` and the file; ``-`` is JSON on standard output.

    Raises:
        UsageError: the name does not tell a format.
    """
    name, path = _format_of(output, DIFF_SUFFIXES)
    return cast("Writer[Diff]", import_module(f"auditor.formats.{name}")), path


def _format_of(output: str, suffixes: Mapping[str, str]) -> tuple[str, str]:
    if output == "-":
        return suffixes[".json"], "-"
    name, colon, rest = output.partition(":")
    # A format of two suffixes goes by the first of them, too: junit:results.xml
    prefixes = {key: suffix for suffix in suffixes for key in (suffix[1:], suffix[1:].partition(".")[0])}
    if colon and name in prefixes and rest:
        return suffixes[prefixes[name]], rest
    lower = Path(output).name.lower()
    fitting = [suffix for suffix in suffixes if lower.endswith(suffix)]
    if not fitting:
        suffix = "".join(Path(output).suffixes[-1:]) or output
        known = ", ".join(entry.removeprefix(".") for entry in suffixes)
        hint = f"Known formats: {known}. {did_you_mean(suffix, list(suffixes)) if suffix != output else ''}".strip()
        raise UsageError(f"cannot tell the format of {output}", hint)
    return suffixes[max(fitting, key=len)], output
