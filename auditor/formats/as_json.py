"""report.json, the canonical form from which every other one can be made; diff.json and survey.json."""

from typing import BinaryIO

from auditor.assessment.json_pieces import json_pieces
from auditor.assessment.model import Diff, Report, Survey


def write(report: Report | Diff | Survey, file: BinaryIO) -> None:
    """Write it as sorted JSON, one key a line."""
    # It may be printed into the log of a pipeline, which takes commands from "##[" and "##vso[" anywhere in a line.
    file.writelines(piece.replace(b"##", b"#\\u0023") for piece in json_pieces(report, indent=True))
    file.write(b"\n")
