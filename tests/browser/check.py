"""Checks HTML reports with other people's validators and in a real browser: ``make check-reports``.

    python tests/browser/check.py [--no-skip] [--keep FOLDER]

What is not installed and cannot be is skipped, and says so; --no-skip makes a failure of it. Every check is also shown
pages that are broken on purpose, and fails the run when it does not see what is wrong. Exit codes: 0 nothing failed,
1 something did.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pages import Page, make_pages, write_oracle
from tools import HERE, MODULES, Tools, find_tools
from variants import CONTROLS, damaged, policy, scripts, source_of, styles
from variants import EXPLORE as EXPLORE_CONTROLS

CONTROL = "broken page: "
MOST_BYTES = 40 * 1024
# What vnu says and we do not hold against a page: that the policy forbids styles and scripts which its hashes allow, as
# the browser shows; and that a name is not in Normalization Form C, for names are shown as they are.
UNHEARD = r".*violates Content Security Policy.*|.*not in Unicode Normalization Form C.*"
STATIC = ("policy", "size")
VALIDATORS = ("vnu", "html-validate")
LOOKS = tuple(f"axe: {look}" for look in ("light 1280", "dark 1280", "light 400", "dark 400"))
BROWSER = ("visit", "axe", "pdf", "explore")
# What is told of some checks, which are made in one go.
TOLD = {
    "visit": (
        *("console", "errors", "csp", "dialogs", "xss", "markup", "links", "network"),
        *("nodes", "width", "first screen"),
    ),
    "pdf": ("pdf tagged", "pdf first page"),
}
EXPLORE = tuple(dict.fromkeys(test for test, *_ in EXPLORE_CONTROLS))
# The checks of each page; what would take long and tell nothing new is left out.
CHECKS: dict[str, tuple[str, ...]] = {
    "example": ("visit", *LOOKS, "pdf", *(f"explore: {test}" for test in EXPLORE)),
    "hostile": (
        *("visit", LOOKS[0], LOOKS[3], "explore: every verdict", "explore: search", "explore: filters", "explore: csv"),
        *("explore: dialog contents", "explore: portal links", "explore: numbers lead here"),
    ),
    "empty": ("visit", *LOOKS, "explore: every verdict"),
    "many": (
        *("visit", LOOKS[0], LOOKS[3], "explore: counts", "explore: sort", "explore: paging", "explore: csv"),
        "explore: numbers lead here",
    ),
    "compliant": ("visit", *LOOKS, "explore: every verdict", "explore: numbers lead here"),
}


@dataclass
class Subject:
    """A page and the checks to make of it; ``tagged`` asks for a PDF with tags."""

    name: str
    html: Path
    checks: tuple[str, ...]
    oracle: Path
    damaged: tuple[Path, ...] = ()
    tagged: bool = True

    @property
    def pdf(self) -> Path:
        """Where it is printed to."""
        return self.html.with_suffix(".pdf")

    @property
    def expected(self) -> list[str]:
        """The checks of which something must be told."""
        return [told for check in self.checks for told in TOLD.get(check, (check,))]


@dataclass
class Results:
    """What was found, by page and check: a list of faults, empty when the check passes."""

    found: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    info: dict[tuple[str, str], str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def add(self, page: str, check: str, faults: Iterable[str], info: str = "") -> None:
        """Note what a check found on a page."""
        self.found.setdefault((page, check), []).extend(faults)
        if info:
            self.info[page, check] = info

    def skips(self, check: str) -> bool:
        """Tell whether a check is not made for want of a tool."""
        made_by = next((name for name, told in TOLD.items() if check in told), check)
        return check in self.skipped or made_by.partition(":")[0] in self.skipped


def main() -> int:
    """Make the pages, check them and their broken variants, and say what came of it."""
    parser = argparse.ArgumentParser(description="Checks HTML reports with validators and in a browser.")
    parser.add_argument("--no-skip", action="store_true", help="a check that cannot be made is a failure")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave the pages in this new folder")
    parser.add_argument("--only", metavar="WORD", default="", help="of pages and broken pages, those with this word")
    given = parser.parse_args()
    started = time.monotonic()
    tools, results = find_tools(), Results()
    with tempfile.TemporaryDirectory(prefix="report-checks-") as name:
        folder = given.keep or Path(name)
        folder.mkdir(exist_ok=True)
        pages = make_pages(folder)
        subjects = [entry for entry in _subjects(pages, folder) if given.only in entry.name]
        _check(tools, subjects, results, folder)
    bad = list(_judge(results, subjects))
    for line in bad:
        _say(f"FAILED   {line}")
    for check, why in results.skipped.items():
        _say(f"skipped  {check}: {why}")
    passed = sum(not faults for (page, _), faults in results.found.items() if not page.startswith(CONTROL))
    controls = sum(entry.name.startswith(CONTROL) for entry in subjects)
    seconds = round(time.monotonic() - started)
    _say(f"{passed} passed, {len(bad)} failed, {len(results.skipped)} skipped; {controls} broken pages; {seconds} s")
    return 1 if bad or (given.no_skip and results.skipped) else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _subjects(pages: list[Page], folder: Path) -> Iterator[Subject]:
    """Yield the pages as they are, and broken ones."""
    oracles = {page.name: folder / f"{page.name}.oracle.json" for page in pages}
    html = {page.name: page.html.read_text(encoding="utf-8") for page in pages}
    spoiled = []
    for number, text in enumerate(damaged(html["example"])):
        spoiled.append(folder / f"damaged-{number}.html")
        spoiled[-1].write_text(text, encoding="utf-8")
    for page in pages:
        write_oracle(page, oracles[page.name])
        yield Subject(
            page.name, page.html, (*STATIC, *VALIDATORS, *CHECKS[page.name]), oracles[page.name], tuple(spoiled)
        )
    for number, control in enumerate(CONTROLS):
        good = html[control.page]
        broken = control.change(good)
        if broken == good and control.tagged:
            raise RuntimeError(f"{control.name}: the page has no place for this change")
        path = folder / f"control-{number}.html"
        path.write_text(broken, encoding="utf-8")
        harmed = []
        if "explore: damaged data" in control.checks:
            harmed = [path.with_suffix(".damaged.html")]
            harmed[0].write_text(damaged(broken)[0], encoding="utf-8")
        yield Subject(
            CONTROL + control.name, path, control.checks, oracles[control.page], tuple(harmed), tagged=control.tagged
        )


def _judge(results: Results, subjects: list[Subject]) -> Iterator[str]:
    """Yield what is wrong: faults of pages, and broken pages on which not exactly the right checks failed."""
    for (page, check), faults in results.found.items():
        if faults and not page.startswith(CONTROL):
            yield f"{page}, {check}: " + "\n           ".join(faults)
    for subject in subjects:
        for check in subject.expected:
            if (subject.name, check) not in results.found and not results.skips(check):
                yield f"{subject.name}, {check}: nothing was told of it"
    fails = {CONTROL + control.name: control.fails for control in CONTROLS}
    shown = {check for checks in fails.values() for check in checks}
    for check in sorted({check for _, check in results.found} - shown):
        yield f"the check {check} is not known to be able to fail: no broken page is for it"
    for subject in subjects:
        wanted = fails.get(subject.name)
        if wanted is None:
            continue
        failed = {check for (page, check), faults in results.found.items() if page == subject.name and faults}
        for check in sorted(wanted - failed):
            if not results.skips(check):
                yield f"the check {check} cannot fail: it sees nothing wrong with {subject.name.removeprefix(CONTROL)}"
        for check in sorted(failed - wanted):
            yield f"{subject.name}: {check} fails too: {results.found[subject.name, check]}"


def _check(tools: Tools, subjects: list[Subject], results: Results, folder: Path) -> None:
    for subject in subjects:
        _policy_and_size(subject, results)
    jobs: list[tuple[tuple[str, ...], str, Callable[[Tools, list[Subject], Results, Path], None]]] = [
        (("vnu",), tools.lacks("npm", "java"), _vnu),
        (("html-validate",), tools.lacks("npm"), _html_validate),
        (BROWSER, tools.lacks("npm", "chromium"), _browser),
    ]
    with ThreadPoolExecutor() as threads:
        running = []
        for checks, why, work in jobs:
            if why:
                results.skipped |= dict.fromkeys(checks, why)
            else:
                wanted = [subject for subject in subjects if _of(subject, checks)]
                if wanted:
                    running.append((checks[0], threads.submit(work, tools, wanted, results, folder)))
        for name, job in running:
            try:
                job.result()
            except (RuntimeError, OSError, ValueError, subprocess.TimeoutExpired) as error:
                results.add("all pages", name, [f"the tool broke: {error}"])


def _of(subject: Subject, kinds: tuple[str, ...]) -> list[str]:
    """Return the checks of these kinds."""
    return [check for check in subject.checks if check.partition(":")[0] in kinds]


def _policy_and_size(subject: Subject, results: Results) -> None:
    if not set(STATIC) & set(subject.checks):
        return
    page = subject.html.read_text(encoding="utf-8")
    words, code = policy(page), {"style-src": styles(page), "script-src": scripts(page)}
    wanted = {"default-src": ["'none'"], "base-uri": ["'none'"], "form-action": ["'none'"]}
    wanted |= {name: [source_of(text) for text in texts] for name, texts in code.items() if texts}
    faults = [f"{name} is {words.get(name)}, not {text}" for name, text in wanted.items() if words.get(name) != text]
    faults += [f"{name} {' '.join(words[name])}" for name in words if name not in wanted and words[name] != ["data:"]]
    results.add(subject.name, "policy", faults)
    size = sum(len(text.encode()) for texts in code.values() for text in texts)
    faults = [f"{size} bytes of style and script are more than {MOST_BYTES}"] if size > MOST_BYTES else []
    results.add(subject.name, "size", faults, f"{size} bytes of style and script")


def _vnu(tools: Tools, subjects: list[Subject], results: Results, _: Path) -> None:
    jar = MODULES / "vnu-jar" / "build" / "dist" / "vnu.jar"
    command = [tools.java, "-jar", str(jar), "--Werror", "--format", "json", "--stdout", "--filterpattern", UNHEARD]
    said = _run([*command, *(str(subject.html) for subject in subjects)])
    names = {str(subject.html): subject.name for subject in subjects}
    for name in names.values():
        results.add(name, "vnu", ())
    for entry in json.loads(said)["messages"]:
        if entry["type"] != "info" or entry.get("subType") == "warning":
            path = unquote(urlsplit(entry["url"]).path)
            results.add(names[path], "vnu", [f"line {entry.get('lastLine', '?')}: {entry['message'][:200]}"])


def _html_validate(tools: Tools, subjects: list[Subject], results: Results, folder: Path) -> None:
    program, out = MODULES / "html-validate" / "bin" / "html-validate.mjs", folder / "html-validate.json"
    command = [tools.node, str(program), "--config", str(HERE / "htmlvalidate.mjs"), "--max-warnings", "0"]
    # Into a file: it ends before a pipe has taken more than 64 KB of what it says.
    _run([*command, "--formatter", f"json={out}", *(str(subject.html) for subject in subjects)])
    names = {str(subject.html): subject.name for subject in subjects}
    for name in names.values():
        results.add(name, "html-validate", ())
    for file in json.loads(out.read_bytes()):
        faults = [f"line {entry['line']}: {entry['ruleId']}: {entry['message'][:200]}" for entry in file["messages"]]
        results.add(names[file["filePath"]], "html-validate", faults)


def _browser(tools: Tools, subjects: list[Subject], results: Results, folder: Path) -> None:
    entries: list[dict[str, Any]] = [
        {
            "name": subject.name,
            "html": str(subject.html),
            "checks": _of(subject, BROWSER),
            "oracle": str(subject.oracle),
            "damaged": [str(path) for path in subject.damaged],
            "broken": subject.name.startswith(CONTROL),
            "pdf": str(subject.pdf),
            "tagged": subject.tagged,
        }
        for subject in subjects
    ]
    job = folder / "browser.json"
    job.write_text(json.dumps({"chromium": tools.chromium, "pages": entries, "tests": EXPLORE}), encoding="utf-8")
    program = subprocess.Popen([tools.node, str(HERE / "checks.mjs"), str(job)], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    for line in program.stdout:
        told = json.loads(line)
        more = [f"and {told['more']} more"] if told["more"] else []
        results.add(told["page"], told["check"], [*told["found"], *more], told["info"])
    if program.wait():
        raise RuntimeError(f"checks.mjs ends with {program.returncode}")
    for subject in subjects:
        if "pdf" in subject.checks and subject.pdf.exists():
            _pdf(tools, subject, results)


def _pdf(tools: Tools, subject: Subject, results: Results) -> None:
    if tools.pdfinfo:
        tagged = re.search(r"^Tagged: +yes", _run([tools.pdfinfo, str(subject.pdf)]), re.MULTILINE) is not None
    else:
        tagged = re.search(rb"/MarkInfo\s*<<[^>]*/Marked true", subject.pdf.read_bytes()) is not None
    results.add(subject.name, "pdf tagged", [] if tagged else ["the PDF has no tags"])
    why = tools.lacks("pdftotext")
    if why:
        results.skipped["pdf first page"] = why
        return
    text = _words(_run([tools.pdftotext, "-f", "1", "-l", "1", str(subject.pdf), "-"]))
    wanted = subject.pdf.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    faults = [f"not on page 1: {line}" for line in wanted if _words(line) not in text]
    results.add(subject.name, "pdf first page", faults if wanted else ["nothing is known to belong on page 1"])


def _words(text: str) -> str:
    return "".join(text.split()).casefold()


def _run(command: list[str]) -> str:
    """Return what a tool writes; validators end with 1 when they find something."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=600)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{Path(command[0]).name} ends with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    raise SystemExit(main())
