"""report.json: the canonical form, from which every other one can be made."""

from typing import BinaryIO

import msgspec

from auditor.assessment.model import Report


def write(report: Report, file: BinaryIO) -> None:
    """Write the report as sorted JSON, one key a line."""
    file.write(msgspec.json.format(msgspec.json.encode(report, order="sorted"), indent=1))
    file.write(b"\n")
