"""How reading Azure goes on: a live table on a terminal, a line now and then elsewhere; all on standard error."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from auditor.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from auditor.azure.live import Spent
    from auditor.azure.session import Identity

_SINGULARS = (("ies", "y"), ("s", ""))
_EVERY = 10.0  # seconds between two lines where there is no terminal


class Shown:
    """Shows progress, wherever standard error goes."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Show nothing yet."""
        self._now = now
        self._began = self._last = now()
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._done: dict[str, tuple[int, int]] = {}

    def __enter__(self) -> Self:
        """Take over the terminal, if there is one."""
        if sys.stderr is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
            )
            self._bars = Progress(*columns, console=Console(stderr=True, highlight=False, markup=False), transient=True)
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the terminal back."""
        if self._bars is not None:
            self._bars.stop()

    def begin(self, cloud: str, identity: "Identity") -> None:
        """Say who reads where."""
        self.say(f"Reading {cloud} as {identity.name}" + (f", tenant {identity.tenant}" if identity.tenant else ""))

    def table(self, name: str, rows: int, total: int) -> None:
        """Show how many rows of a table were read."""
        self._show(name, rows, total)

    def details(self, kind: str, done: int, total: int) -> None:
        """Show how many details of a kind were asked for."""
        self._show(kind, done, total)

    def end(self, spent: "Spent") -> None:
        """Say what it took."""
        took = self._now() - self._began
        waited = f", {spent.waited:.0f} s of them waiting for quota" if spent.waited >= 1 else ""
        self.say(f"Read {self._sums()} in {took:.0f} s and {spent.requests:,} requests{waited}")

    def steps(self, done: int, total: int) -> None:
        """Show how many steps of a plan have come to an end."""
        if self._bars is not None:
            self._show("steps", done, total)

    def say(self, line: str) -> None:
        """Write a line."""
        if self._bars is not None:
            self._bars.console.print(printable(line), soft_wrap=True)
            return
        try:
            print(printable(line), file=sys.stderr, flush=True)  # noqa: T201 -- standard error is for that
        except OSError:  # nobody reads it any more, or there is no room for it: the work goes on
            sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 -- as long as the process

    def _show(self, what: str, done: int, total: int) -> None:
        self._done[what] = (done, max(done, total))
        if self._bars is not None:
            if what not in self._tasks:
                self._tasks[what] = self._bars.add_task(what.replace("_", " "), total=total)
            self._bars.update(self._tasks[what], completed=done, total=max(done, total))
        elif self._now() - self._last >= _EVERY:
            self._last = self._now()
            self.say(f"Read so far: {self._sums()}")

    def _sums(self) -> str:
        parts = [
            counted(what, done) if done == total else f"{done:,} of {counted(what, total)}"
            for what, (done, total) in self._done.items()
            if total
        ]
        return ", ".join(parts) or "nothing"


def counted(name: str, count: int) -> str:
    """Write a number of what a table holds."""
    words = name.replace("_", " ")
    if count == 1:
        ending, single = next((pair for pair in _SINGULARS if words.endswith(pair[0])), ("", ""))
        words = words.removesuffix(ending) + single
    return f"{count:,} {words}"
