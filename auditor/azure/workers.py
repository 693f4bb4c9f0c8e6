"""Several requests at a time, and their results as they come."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

from auditor.azure.pace import StoppedError, Timing

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 8  # results that may wait to be taken: pages are large, and whoever takes them writes them to disk


def each(work: Callable[[T], R], tasks: Iterable[T], workers: int, timing: Timing) -> Generator[R, None, None]:
    """Do every task, several at a time, and yield the results in the order in which they come.

    Threads that wait for an answer are left behind when somebody stops, or an error ends the work: they hold nothing
    but their connection, and no result of theirs is used.

    Args:
        work: does a task.
        tasks: taken one by one, as workers become free.
        workers: how many at a time.
        timing: tells when somebody asked to stop.

    Raises:
        StoppedError: somebody asked to stop.
        Exception: whatever ``work`` raised first.
    """
    source, lock = iter(tasks), threading.Lock()
    done: queue.Queue[tuple[str, R | BaseException | None]] = queue.Queue(_AHEAD)
    ended = threading.Event()

    def put(kind: str, value: R | BaseException | None) -> bool:
        while not ended.is_set():
            try:
                done.put((kind, value), timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def run() -> None:
        try:
            while not ended.is_set():
                with lock:
                    task = next(source, _NONE)
                if task is _NONE:
                    break
                if not put("result", work(task)):  # type: ignore[arg-type]  # the only other thing is _NONE
                    return
        except BaseException as error:  # noqa: BLE001 -- raised again where the results are taken
            put("error", error)
            return
        put("end", None)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    left = len(threads)
    try:
        while left:
            try:
                kind, value = done.get(timeout=0.2)
            except queue.Empty:
                if timing.wait(0.0):
                    raise StoppedError from None
                continue
            if kind == "error":
                assert isinstance(value, BaseException)
                raise value
            if kind == "end":
                left -= 1
            else:
                yield value  # type: ignore[misc]  # a result
    finally:
        ended.set()


_NONE = object()
