"""Finds the rules and templates that are shipped with the package."""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path


def bundled(folder: str) -> Traversable:
    """Return a shipped folder: from the installed package, or from the checkout when run from one."""
    shipped = files("auditor") / "_bundled" / folder
    return shipped if shipped.is_dir() else Path(__file__).resolve().parent.parent / folder
