"""The command ``auditor``: its subcommands, and the one place where errors become lines and exit codes."""

import contextlib
import io
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from auditor import __version__
from auditor.cli import (
    apply,
    audit,
    collect,
    diff,
    doctor,
    exemptions,
    explain,
    history,
    init,
    plan,
    render,
    rules,
)
from auditor.errors import AuditorError, ExitCode, InputErrors, UsageError
from auditor.text import printable

if TYPE_CHECKING:
    from typing_extensions import Buffer

MOST_FAULTS = 50

app = typer.Typer(
    name="auditor",
    help="Audit the backup of Azure VMs: rules in YAML, verdicts with evidence, exit codes for pipelines.",
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("audit")(audit.audit)
app.command("collect")(collect.collect)
app.command("render")(render.render)
app.command("explain")(explain.explain)
app.command("diff")(diff.diff)
app.command("exemptions")(exemptions.exemptions)
app.command("init")(init.init)
app.command("history")(history.history)
app.command("doctor")(doctor.doctor)
app.command("plan")(plan.plan)
app.command("apply")(apply.apply)
app.add_typer(rules.app, name="rules")


def _version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"auditor {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    *,
    version: Annotated[  # noqa: ARG001 -- it acts in its callback
        bool,
        typer.Option(
            "--version", callback=lambda value: _version(asked=value), is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Audit the backup of Azure VMs: rules in YAML, verdicts with evidence, exit codes for pipelines."""
    rules.help_if_nothing_asked(context)


class _Interrupts:
    """Remembers an interrupt: what is interrupted does not always say so (a database query raises its own error)."""

    def __init__(self) -> None:
        self.came = False
        signal.signal(signal.SIGINT, self._take)
        signal.signal(signal.SIGTERM, self._take)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        self.came = True
        raise KeyboardInterrupt


class _Stdout(io.FileIO):
    """Standard output that takes no offence when its reader goes away, as ``| head`` does."""

    def write(self, data: "Buffer", /) -> int:
        """Write, or drop what nobody reads."""
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            return len(memoryview(data))


def main() -> None:
    """Run the command and exit with its documented code; no error ever shows a traceback."""
    interrupts = _Interrupts()
    # DuckDB looks for pandas twice for each value that it is given, in vain: a tenth of a small audit.
    sys.modules.setdefault("pandas", None)  # type: ignore[arg-type]
    if sys.stdout is None:  # closed by the caller: what is opened next would take its number
        _complain("standard output is closed", "Send it to /dev/null instead.")
        sys.exit(ExitCode.USAGE)
    # Names come in every script, terminals do not: what one cannot show is written as an escape.
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Stdout(sys.stdout.fileno(), "wb", closefd=False)),
        encoding=sys.stdout.encoding,
        errors="backslashreplace",
        line_buffering=sys.stdout.isatty(),
    )
    code = _run(interrupts)
    with contextlib.suppress(OSError):
        sys.stdout.close()
    sys.exit(code)


def _run(interrupts: _Interrupts) -> int:
    # typer does not export click's base class of "the command line is wrong", only this child of it.
    wrong_command_line: type[Exception] = typer.BadParameter.__mro__[2]
    try:
        _check_arguments(sys.argv[1:])
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except InputErrors as error:
        for fault in error.faults[:MOST_FAULTS]:
            _complain(str(fault), fault.hint)
        if len(error.faults) > MOST_FAULTS:
            _complain(f"and {len(error.faults) - MOST_FAULTS} more", "")
        return error.exit_code
    except AuditorError as error:
        _complain(error.message, error.hint)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except wrong_command_line as error:
        _complain(getattr(error, "message", "") or "the command line is not complete", "See auditor --help.")
        return ExitCode.USAGE
    except (
        Exception
    ) as error:  # whatever it is, people get a line and scripts a code; AUDITOR_DEBUG gives the traceback
        if interrupts.came:
            return _interrupted()
        beyond = beyond_the_machine(error)
        if beyond is not None:
            _complain(*beyond)
            return ExitCode.USAGE
        if isinstance(error, OSError):
            _complain(
                f"cannot go on: {error.strerror or error}", "Check the space and permissions of the disk, and TMPDIR."
            )
            return ExitCode.USAGE
        if os.environ.get("AUDITOR_DEBUG"):
            raise
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        _complain(f"internal error: {what}", "Please report it; AUDITOR_DEBUG=1 shows where.")
        return ExitCode.INTERNAL
    if code == ExitCode.INTERRUPTED:
        return _interrupted()
    return code if isinstance(code, int) else ExitCode.OK


def _check_arguments(arguments: list[str]) -> None:
    """Complain about an argument that is empty: as a path it would be the current folder.

    Raises:
        UsageError: there is one.
    """
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if not argument:
            what = f"what is given to {before}" if before.startswith("-") else "an argument"
            raise UsageError(f"{what} is empty", "Leave it out, or name something: is a variable not set?")


def beyond_the_machine(error: Exception) -> tuple[str, str] | None:
    """Say what the database had too little of, and what to do; ``None`` for any other error."""
    database = sys.modules.get("duckdb")  # only where there is one: it takes long to import
    if database is None or not isinstance(error, database.OutOfMemoryException | database.IOException):
        return None
    first = str(error).splitlines()[0]
    if "max_temp_directory_size" in str(error) or "No space left" in first:
        return "the disk that the database spills to is full", "Free some of it, or name another: engine.spill."
    if isinstance(error, database.OutOfMemoryException):
        what = first.removeprefix("Out of Memory Error: ")
        return f"the database may not take enough memory: {what}", "Raise engine.memory in auditor.yaml."
    return f"cannot go on: {first}", "Check the space and permissions of the disk, and TMPDIR."


def _interrupted() -> int:
    _complain("interrupted", "Nothing was half written.")
    return ExitCode.INTERRUPTED


def _complain(message: str, hint: str) -> None:
    typer.echo(f"error: {printable(message)}", err=True)
    if hint:
        typer.echo(f"  hint: {printable(hint)}", err=True)
