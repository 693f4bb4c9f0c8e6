"""A plan in a file: JSON to be applied, Markdown and HTML to be read."""

from importlib import import_module
from typing import BinaryIO

from auditor.remediation.model import Plan, encode_plan

_PAGES = {".md": "markdown", ".html": "html"}


def write_plan(plan: Plan, suffix: str, file: BinaryIO) -> None:
    """Write a plan in the format that a suffix asks for."""
    page = _PAGES.get(suffix)
    if page is None:
        file.writelines(encode_plan(plan))
        return
    module = import_module(f"auditor.formats.plan_as_{page}")  # only for those who read it
    file.write(getattr(module, f"as_{page}")(plan))
