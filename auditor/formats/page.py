"""What every HTML page of ours has: templates that escape, hostile characters made visible, hashes for its policy."""

import hashlib
from base64 import b64encode

import jinja2

from auditor.bundled import bundled
from auditor.text import visible

FOLDER = "reports/templates"


def environment() -> jinja2.Environment:
    """Return the environment that templates are rendered in."""
    folder = bundled(FOLDER)
    made = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": lambda value: f"{value:,}",
        "many": lambda count, noun: f"{count:,} {noun}{'' if count == 1 else 's'}",
        "upper_first": lambda text: text[:1].upper() + text[1:],
    }
    return made


def policy_hash(text: str) -> str:
    """Return the hash by which a content security policy allows an element with this text."""
    return b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _shown(value: object) -> object:
    """Make hostile characters visible in whatever a template prints; ``Markup`` is ours and stays as it is."""
    return visible(value) if type(value) is str else value
