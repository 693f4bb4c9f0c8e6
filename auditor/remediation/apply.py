"""A plan -> its steps done: which one next, how many at a time, and when to stop."""

import heapq
import queue
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from auditor.remediation.doing import POLICY_WRITES, Doer, Result
from auditor.remediation.journal import DONE, Journal
from auditor.remediation.model import Step
from auditor.remediation.planning import vault_key
from auditor.text import fold


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a run goes.

    Attributes:
        parallel: steps at a time.
        steps: steps in all; ``None`` for all of them.
        failures: failed steps after which no other is begun; ``None`` for any number.
    """

    parallel: int = 10
    steps: int | None = None
    failures: int | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a plan.

    Attributes:
        results: of each step that a program can do, in the order of the plan.
        interrupted: somebody asked to stop.
        error: why the run had to stop: the journal cannot be written, or nobody is signed in any more.
    """

    results: Sequence[Result]
    interrupted: bool
    error: BaseException | None = None

    @property
    def failed(self) -> bool:
        """Whether a step failed, what became of it is not known, or Azure would not have taken it today."""
        return any(result.outcome in ("failed", "open") or result.code == POLICY_WRITES for result in self.results)


class Applier:
    """Does the steps of a plan, each after those it depends on; one at a time at an item, and at a vault."""

    def __init__(
        self,
        doer: Doer,
        journal: Journal,
        bounds: Bounds,
        stop: threading.Event,
        told: Callable[[Result], None],
    ) -> None:
        """Begin with nothing done.

        Args:
            doer: does one step.
            journal: what was done before.
            bounds: how far to go.
            stop: set to begin no further step; whatever waits for Azure comes back then.
            told: is given each result as it comes.
        """
        self._doer = doer
        self._journal = journal
        self._bounds = bounds
        self._stop = stop
        self._told = told
        self._results: dict[str, Result] = {}
        self._failures = 0
        self._ended: queue.SimpleQueue[tuple[Step, Result | BaseException]] = queue.SimpleQueue()

    def apply(self, steps: Sequence[Step]) -> Applied:
        """Do all steps that can be done, and come back once calls in flight have ended."""
        schedule = _Schedule(steps)
        begun = running = 0
        errors: list[BaseException] = []
        while True:
            while running < self._bounds.parallel and (step := schedule.next()) is not None:
                known = self._known(step, begun)
                if known is not None:
                    self._take(schedule, known)
                    continue
                begun, running = begun + 1, running + 1
                threading.Thread(target=self._run, args=(step,), daemon=True).start()
            if not running:
                break
            try:
                step, ended = self._ended.get(timeout=0.5)  # an interrupt is not seen while one waits for ever
            except queue.Empty:
                continue
            running -= 1
            if isinstance(ended, BaseException):
                errors.append(ended)
                self._stop.set()
                ended = Result(step, "open", "Stopped", "the run had to stop")
            self._take(schedule, ended)
        results = [self._results[step.id] for step in steps]
        return Applied(results, self._stop.is_set() and not errors, errors[0] if errors else None)

    def _known(self, step: Step, begun: int) -> Result | None:
        """Return what becomes of a step that is not begun, or ``None`` where it is."""
        end = self._journal.of(step.id).end
        if end is not None and end.outcome in DONE:
            return Result(step, end.outcome, job=end.job, earlier=True)
        lost = self._lost(step)
        if lost is not None:
            return Result(step, "skipped", "NotReached", f"it needs what was not done: {lost.title}")
        why = ""
        if self._stop.is_set():
            why = "the run was stopped before"
        elif self._bounds.failures is not None and self._failures >= self._bounds.failures:
            why = f"{self._failures} steps had failed (--stop-after-failures)"
        elif self._bounds.steps is not None and begun >= self._bounds.steps:
            why = f"{begun} steps were begun (--max-steps)"
        return Result(step, "skipped", "NotReached", why) if why else None

    def _run(self, step: Step) -> None:
        try:
            self._ended.put((step, self._doer.do(step)))
        except BaseException as error:  # noqa: BLE001 -- raised again by the thread that waits for it
            self._ended.put((step, error))

    def _take(self, schedule: "_Schedule", result: Result) -> None:
        self._results[result.step.id] = result
        self._failures += result.outcome == "failed"
        schedule.end(result.step)
        self._told(result)

    def _lost(self, step: Step) -> Step | None:
        """Return what a step depends on and was not done."""
        results = (self._results.get(need) for need in step.depends_on)
        return next((result.step for result in results if result is not None and not result.done), None)


class _Schedule:
    """Gives the first step whose dependencies have ended and whose lane is free."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._place = {step.id: number for number, step in enumerate(steps)}
        self._steps = list(steps)
        self._needs = {step.id: {need for need in step.depends_on if need in self._place} for step in steps}
        self._dependents: defaultdict[str, list[str]] = defaultdict(list)
        for step in steps:
            for need in self._needs[step.id]:
                self._dependents[need].append(step.id)
        self._ready = [self._place[step.id] for step in steps if not self._needs[step.id]]
        self._taken: dict[str, deque[int]] = {}  # by lane that is busy: steps that wait for it

    def next(self) -> Step | None:
        """Return a step to begin now; ``None`` where all others wait."""
        while self._ready:
            place = heapq.heappop(self._ready)
            step = self._steps[place]
            lane = lane_of(step)
            if lane not in self._taken:
                self._taken[lane] = deque()
                return step
            self._taken[lane].append(place)
        return None

    def end(self, step: Step) -> None:
        """Take note that a step has ended, however it did."""
        for waiting in self._taken.pop(lane_of(step)):
            heapq.heappush(self._ready, waiting)
        for dependent in self._dependents[step.id]:
            needs = self._needs[dependent]
            needs.discard(step.id)
            if not needs:
                heapq.heappush(self._ready, self._place[dependent])


def lane_of(step: Step) -> str:
    """Return what steps do one after the other: Azure takes one operation at a time at an item, and at a vault."""
    if step.kind in ("EnableProtection", "AssignPolicy", "TriggerBackup"):
        return fold(step.target)
    return vault_key(step.target)


def policy_steps(steps: Sequence[Step]) -> dict[str, list[str]]:
    """Return by vault the steps that write one of its policies."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for step in steps:
        if step.kind == "DefinePolicy":
            found[vault_key(step.target)].append(step.id)
    return dict(found)
