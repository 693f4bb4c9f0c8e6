"""The errors that end a run, and the exit code each of them means.

AuditorError (70)
├── UsageError (2)          flags, config, rules, named inputs, outputs
│   └── InputErrors (2)     several of them at once, each with its place
├── AzureError (4)          Azure was not reached, or refused the identity
└── StoppedByHand (130)     somebody asked to stop, and there is something to say about where

A failure *inside* a run is not an error but a value: a gap, a cell problem, an unknown verdict.
Only ``cli.app`` catches what is raised here, and prints it as one line and a hint.
"""

from dataclasses import dataclass


class ExitCode:
    """What the process tells its caller; one meaning each."""

    OK = 0
    VIOLATIONS = 1
    USAGE = 2
    CANNOT_CONCLUDE = 3
    AZURE = 4
    NOT_APPLIED = 5
    INTERNAL = 70
    INTERRUPTED = 130


class AuditorError(Exception):
    """An error that ends the run.

    Args:
        message: what is wrong and where, on one line.
        hint: what to do about it, on one line; may be empty.
    """

    exit_code = ExitCode.INTERNAL

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep the message and the hint apart, so that each gets its own line."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AuditorError):
    """What the caller gave is wrong: a flag, a file, a name."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where in a file something stands: ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        """Write the place as compilers do."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong with a file that a person wrote."""

    place: Place
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """Write the fault on one line."""
        return f"{self.place}: {self.message}"


class InputErrors(UsageError):
    """All faults found in the files of one run, in the order of their places."""

    def __init__(self, faults: list[Fault]) -> None:
        """Keep every fault; the first one stands for the others where one line must do."""
        self.faults = sorted(faults)
        super().__init__(str(self.faults[0]), self.faults[0].hint)


class AzureError(AuditorError):
    """Azure was not reached, or it refused who asks."""

    exit_code = ExitCode.AZURE


class StoppedByHand(AuditorError):
    """Somebody asked to stop, and what was under way was brought to a good end."""

    exit_code = ExitCode.INTERRUPTED
