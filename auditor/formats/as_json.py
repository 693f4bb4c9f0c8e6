"""report.json, the canonical form from which every other one can be made; and diff.json."""

from typing import BinaryIO

from auditor.assessment.json_pieces import json_pieces
from auditor.assessment.model import Diff, Report


def write(report: Report | Diff, file: BinaryIO) -> None:
    """Write it as sorted JSON, one key a line."""
    file.writelines(json_pieces(report, indent=True))
    file.write(b"\n")
