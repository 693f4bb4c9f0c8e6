"""The command ``auditor``: its subcommands, and the one place where errors become lines and exit codes."""

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from auditor import __version__
from auditor.cli import audit, explain, rules
from auditor.errors import AuditorError, ExitCode, InputErrors
from auditor.text import visible

MOST_FAULTS = 50

app = typer.Typer(
    name="auditor",
    help="Audit the backup of Azure VMs: rules in YAML, verdicts with evidence, exit codes for pipelines.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("audit")(audit.audit)
app.command("explain")(explain.explain)
app.add_typer(rules.app, name="rules")


def _version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"auditor {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=lambda value: _version(asked=value), is_eager=True, help="Show the version."
        ),
    ] = False,
) -> None:
    """Audit the backup of Azure VMs."""


def main() -> None:
    """Run the command and exit with its documented code; no error ever shows a traceback."""
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(_run())


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run() -> int:
    # typer does not export click's base class of "the command line is wrong", only this child of it.
    wrong_command_line: type[Exception] = typer.BadParameter.__mro__[2]
    try:
        code = app(standalone_mode=False)
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
        _complain("interrupted", "Nothing was half written.")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away, as `| head` does; what Python flushes at exit must not complain again.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except wrong_command_line as error:
        _complain(getattr(error, "message", "") or "the command line is not complete", "See auditor --help.")
        return ExitCode.USAGE
    except Exception as error:
        if os.environ.get("AUDITOR_DEBUG"):
            raise
        _complain(
            f"internal error: {type(error).__name__}: {error}".splitlines()[0],
            "Please report it; AUDITOR_DEBUG=1 shows where.",
        )
        return ExitCode.INTERNAL
    return code if isinstance(code, int) else ExitCode.OK


def _complain(message: str, hint: str) -> None:
    typer.echo(f"error: {visible(message)}", err=True)
    if hint:
        typer.echo(f"  hint: {visible(hint)}", err=True)
