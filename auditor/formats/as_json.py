"""report.json, the canonical form from which every other one can be made; and diff.json."""

from typing import BinaryIO

import msgspec

from auditor.assessment.model import Diff, Report


def write(report: Report | Diff, file: BinaryIO) -> None:
    """Write it as sorted JSON, one key a line."""
    file.write(msgspec.json.format(msgspec.json.encode(report, order="sorted"), indent=1))
    file.write(b"\n")
