"""Breaks a good page in one way each: what a check is shown to see that it can fail."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TypeAlias

Change: TypeAlias = Callable[[str], str]

_STYLE = re.compile(r"<style\b[^>]*>(.*?)</style>", re.DOTALL)
# A block of data (type="application/...") is no script: nothing runs it, and it needs no hash.
_SCRIPT = re.compile(r"<script(?![^>]*\btype=(?!\"(?:module|text/javascript)\"))[^>]*>(.*?)</script>", re.DOTALL)
_POLICY = re.compile(r'(<meta http-equiv="Content-Security-Policy" content=")([^"]*)(">)')


def styles(page: str) -> list[str]:
    """Return the style sheets of a page."""
    return [match[1] for match in _STYLE.finditer(page)]


def scripts(page: str) -> list[str]:
    """Return the scripts of a page."""
    return [match[1] for match in _SCRIPT.finditer(page)]


def policy(page: str) -> dict[str, list[str]]:
    """Return the Content Security Policy of a page: the words of each directive."""
    found = _POLICY.search(page)
    parts = (part.split() for part in found[2].split(";")) if found else ()
    return {words[0]: words[1:] for words in parts if words}


def source_of(text: str) -> str:
    """Return the word by which a policy allows this text."""
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def rehashed(page: str) -> str:
    """Return the page with a policy that allows the styles and scripts it has now."""
    words = policy(page)
    for name, texts in (("style-src", styles(page)), ("script-src", scripts(page))):
        kept = [word for word in words.get(name, []) if not word.startswith("'sha256-")]
        hashes = [source_of(text) for text in texts]
        if kept + hashes:
            words[name] = kept + hashes
    text = "; ".join(" ".join((name, *rest)) for name, rest in words.items())
    return _POLICY.sub(lambda match: match[1] + text + match[3], page, count=1)


def replace(old: str, new: str) -> Change:
    """Return a change of the first place where ``old`` stands."""
    return lambda page: page.replace(old, new, 1)


def body(text: str) -> Change:
    """Return a change that adds markup to the end of the main part."""
    return replace("</main>", f"{text}</main>")


def css(text: str) -> Change:
    """Return a change that adds to the style sheet, and allows it."""
    return lambda page: rehashed(page.replace("</style>", f"{text}</style>", 1))


def script(text: str) -> Change:
    """Return a change that adds a script, and allows it."""
    return lambda page: rehashed(page.replace("</main>", f"<script>{text}</script></main>", 1))


def allowed(directive: str, more: str, text: str) -> Change:
    """Return a change that adds a script, and lets the policy allow more than it should."""

    def change(page: str) -> str:
        return script(text)(page).replace(f"{directive} ", f"{directive} {more} ", 1)

    return change


def code(old: str, new: str) -> Change:
    """Return a change of the page's own script, and allows it."""
    return lambda page: rehashed(page.replace(old, new, 1))


def unguarded(text: str) -> Change:
    """Return a change that adds markup, and takes the policy away."""
    return lambda page: _POLICY.sub("", body(text)(page))


@dataclass(frozen=True)
class Control:
    """A broken page: exactly the checks in ``fails`` must fail of those that are run on it."""

    name: str
    change: Change
    checks: tuple[str, ...]
    fails: AbstractSet[str]
    tagged: bool = True
    page: str = "compliant"


_STATIC = ("vnu", "html-validate")
_BROWSER = ("policy", "size", "visit")
_AXE = tuple(f"axe: {look}" for look in ("light 1280", "dark 1280", "light 400", "dark 400"))
_LIGHT = "@media (prefers-color-scheme: light)"
_DARK = "@media (prefers-color-scheme: dark)"
_PHONE = "@media (prefers-color-scheme: light) and (max-width: 30rem)"


# A mistake in the script, the test that must see it, and the page to make it on.
EXPLORE = (
    ("counts", "without what is not applicable", code('of "fupn")', 'of "fup")'), "example"),
    ("every verdict", "with outcomes mixed up", code('p: "pass", f: "fail"', 'f: "pass", p: "fail"'), "example"),
    ("search", "that finds any message", code("all = found >= 0 &&", "all = found >= 0 ||"), "example"),
    ("filters", "that ignores severity", code("rule.severity === state.severity)", "true)"), "example"),
    (
        "filters together",
        "that forgets one filter for another",
        code("{...state, q:", "{q:"),
        "example",
    ),
    ("sort", "sorted the other way", code("(down ? most", "(!down ? most"), "example"),
    ("paging", "that leaves out a row", code("(page - 1) * SIZE,", "(page - 1) * SIZE + 1,"), "example"),
    ("keyboard", "that loses the focus", code("if (button) button.focus();", ""), "example"),
    ("history", "that cannot go back", code('replace ? "replaceState"', 'true ? "replaceState"'), "example"),
    (
        "shared address",
        "that ignores its address",
        code("apply(location.hash.startsWith", "apply(!location.hash.startsWith"),
        "example",
    ),
    (
        "numbers lead here",
        "with links that set no filter",
        code('apply(parse("?" + link.dataset.explore))', "apply({})"),
        "example",
    ),
    (
        "dialog contents",
        "with the evidence of another",
        code("evidence(rule, found)", "evidence(rule, Math.max(0, found - 1))"),
        "example",
    ),
    ("portal links", "that links to any id", code("const LINKABLE = /^", "const LINKABLE = /^.*|"), "hostile"),
    ("csv", "that lets formulas through", code('/.test(text) ? "\'"', '/.test(text) ? ""'), "hostile"),
    ("csv", "that loses a line", code("shown.subarray(start, start", "shown.subarray(start + 1, start"), "example"),
    ("copy", "that copies the rule too", code('state.open.indexOf("|") + 1', "0"), "example"),
    ("theme", "without a dark theme", code("theme = dark()", "theme = !dark()"), "example"),
    (
        "axe with a dialog",
        "with an input in its dialog that has no label",
        replace('<div id="verdict-body">', '<input type="text"><div id="verdict-body">'),
        "example",
    ),
    ("damaged data", "that keeps silent about damage", code('notice("The embedded verdicts', 'void ("'), "example"),
    ("old browser", "that keeps silent about the browser", code('notice("This browser', 'void ("'), "example"),
    (
        "without script",
        "shown where it does not work",
        replace('explore-heading" hidden', 'explore-heading"'),
        "example",
    ),
)

CONTROLS = (
    Control("escape character in a text", body("<p>\x1b[31m</p>"), _STATIC, {"vnu"}),
    Control(
        "two landmarks of one name",
        body('<nav aria-label="a">a</nav><nav aria-label="a">b</nav>'),
        _STATIC,
        {"html-validate"},
    ),
    Control("pale heading in light", css(f"{_LIGHT} {{ h1 {{ color: #ccc; }} }}"), _AXE[:2], {_AXE[0]}),
    Control("dark heading in dark", css(f"{_DARK} {{ h1 {{ color: #333; }} }}"), _AXE[2:], {_AXE[3]}),
    Control("pale heading on a phone", css(f"{_PHONE} {{ h1 {{ color: #ccc; }} }}"), _AXE[::2], {_AXE[2]}),
    Control("input without a label", body('<input type="text">'), _AXE[1:2], {_AXE[1]}),
    Control("message on the console", script("console.error('broken')"), _BROWSER, {"console"}),
    Control("error in a script", script("throw new Error('broken')"), _BROWSER, {"errors"}),
    Control("script that the policy forbids", body("<script>window.__xss=1</script>"), _BROWSER, {"policy", "csp"}),
    Control("handler that the policy forbids", body('<svg onload="x"></svg>'), _BROWSER, {"csp", "markup"}),
    Control("dialog", script("alert(1)"), _BROWSER, {"dialogs"}),
    Control("script that ran", script("window.__xss=1"), _BROWSER, {"xss"}),
    Control(
        "handler that ran",
        unguarded('<svg onload="window.__xss=1"></svg>'),
        _BROWSER,
        {"policy", "xss", "markup"},
    ),
    Control("link that is a script", body('<a href="javascript:0">a</a>'), _BROWSER, {"links"}),
    Control(
        "picture from elsewhere",
        allowed("img-src", "http:", "new Image().src = 'http://127.0.0.1:9/a.png'"),
        _BROWSER,
        {"policy", "network"},
    ),
    Control("more elements than a browser likes", body("<i></i>" * 60_000), _BROWSER, {"nodes"}),
    Control("line wider than a phone", css("footer { min-width: 600px; }"), _BROWSER, {"width"}),
    Control("first screen too tall", css("#first-screen { padding-bottom: 900px; }"), _BROWSER, {"first screen"}),
    Control("style sheet too big", css(f"/*{'x' * 40_960}*/"), _BROWSER, {"size"}),
    Control("PDF without tags", lambda page: page, ("pdf",), {"pdf tagged"}, tagged=False),
    Control(
        "first page of the PDF cut short",
        css("@media print { #first-screen > * { break-after: page; } }"),
        ("pdf",),
        {"pdf first page"},
    ),
    *(
        Control(f"Explore {name}", change, (f"explore: {test}",), {f"explore: {test}"}, page=page)
        for test, name, change, page in EXPLORE
    ),
)


def damaged(page: str) -> tuple[str, ...]:
    """Return the page with embedded data that is no base64, that ends early, and that is something else."""
    found = re.search(r'(id="explore-data">)([^<]*)', page)
    if found is None:
        raise RuntimeError("the page embeds no data")
    data = found[2]
    spoiled = ("!" + data[1:], data[: len(data) // 8 * 4], "AwA=", "")
    return tuple(page[: found.start(2)] + text + page[found.end(2) :] for text in spoiled)
