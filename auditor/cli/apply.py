"""``auditor apply``: a reviewed plan -> Azure, exactly, and what the rules say then."""

import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from auditor import __version__
from auditor.arm_id import is_subscription_id
from auditor.cli import options
from auditor.cli.live import LiveFlags, caller_of, read_azure, settle_azure, sign_in
from auditor.cli.question import DEFAULT_CONFIG, Flags, settle
from auditor.errors import ExitCode, StoppedByHand, UsageError
from auditor.text import fold, printable
from auditor.timestamps import parse_time

if TYPE_CHECKING:
    from rich.console import Console

    from auditor.azure.session import Session
    from auditor.declared.config import Azure
    from auditor.remediation.apply import Applied, Bounds
    from auditor.remediation.doing import Result
    from auditor.remediation.model import Plan
    from auditor.ruleset.settings import Settings

_AGE = re.compile(r"(\d{1,6})([mhd])", re.ASCII)
_UNITS = {"m": 60, "h": 3600, "d": 86_400}
_AHEAD = 300  # seconds by which the clock of whoever planned may be ahead
_AGAIN = 15.0  # seconds between two looks at the verdicts
_SECOND = 1_000_000


def apply(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.json", help="The plan, as auditor plan -o plan.json wrote it.")],
    max_parallel: Annotated[int, typer.Option("--max-parallel", min=1, max=100, help="Steps at a time.")] = 10,
    max_steps: Annotated[
        int | None, typer.Option("--max-steps", min=1, help="Begin no more steps than these in this run.")
    ] = None,
    stop_after_failures: Annotated[
        int, typer.Option("--stop-after-failures", min=1, help="Begin no further step once so many failed.")
    ] = 10,
    max_age: Annotated[str, typer.Option("--max-age", help="Refuse a plan that is older: 90m, 24h, 3d.")] = "24h",
    verdicts_within: Annotated[
        str,
        typer.Option("--verdicts-within", help="How long to wait for verdicts: Resource Graph shows changes late."),
    ] = "10m",
    digest: Annotated[
        str | None, typer.Option("--digest", help="Refuse a plan of another digest than the one that was reviewed.")
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option("--journal", help="Where to note what is done; PLAN.json.journal by default."),
    ] = None,
    config: options.ConfigFile = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="The tenant of a plan that was made from exports (its id).")
    ] = None,
    cloud: options.CloudOption = None,
    login: options.LoginOption = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    wait_backup: Annotated[
        bool, typer.Option("--wait-backup", help="Wait for the end of backups, too; else their jobs are named.")
    ] = False,
    status: Annotated[
        bool, typer.Option("--status", help="Only tell what was done so far, by the journal; nothing is sent.")
    ] = False,
) -> None:
    """Do the steps of a plan, exactly as they were reviewed, and say which verdicts turned.

    Run it again to go on where it was stopped, or killed: nothing is done twice.

    Exit codes: 0 all that was begun is done, 2 something given is wrong or nobody agreed, 4 Azure not reached or
    identity refused, 5 a step failed or a promised verdict did not come, 70 internal error, 130 interrupted.
    """
    from rich.console import Console

    from auditor.formats.applied_terminal import print_results
    from auditor.formats.plan_terminal import print_plan
    from auditor.remediation.apply import Bounds

    made = _read(plan)
    if digest is not None and digest != made.digest:
        raise UsageError(f"{plan} has the digest {made.digest}, not {digest}", "It is not the plan that was reviewed.")
    path = journal or plan.with_name(f"{plan.name}.journal")
    out = Console(highlight=False, markup=False, emoji=False)
    if status:
        results = _known(made, path)
        print_results(results, out)
        raise typer.Exit(ExitCode.NOT_APPLIED if _wrong(results) else ExitCode.OK)
    _check_age(made, max_age)
    patience = _seconds("--verdicts-within", verdicts_within)
    wanted = _tenant(made, tenant)
    settings, same = _judged_by(made, config)
    azure = settle_azure(LiveFlags((), (), wanted, cloud, login), settings.config.azure)
    if not made.automatic:
        print_results([], out)
        raise typer.Exit(ExitCode.OK)
    _check_can_agree(yes=yes)
    with _alone(plan):
        print_plan(made, Console(stderr=True, highlight=False, markup=False, emoji=False), [])
        bounds = Bounds(max_parallel, max_steps, stop_after_failures)
        applied = _apply(made, path, azure, wanted, bounds, yes=yes, wait_backup=wait_backup)
    print_results(applied.results, out)
    typer.echo(f"Journal: {printable(str(path))}", err=True)
    if applied.error is not None:
        raise applied.error
    if applied.interrupted:
        raise StoppedByHand("stopped", "What is open goes on in Azure. Run the same again to go on from here.")
    missing = _verify(made, applied, settings if same else None, azure, out, patience)
    raise typer.Exit(ExitCode.NOT_APPLIED if applied.failed or missing else ExitCode.OK)


def _read(path: Path) -> "Plan":
    from auditor.remediation.model import decode_plan
    from auditor.remediation.requests import fault_of_steps

    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "auditor plan -o plan.json makes one.") from error
    made = decode_plan(data, str(path))
    if fault := fault_of_steps(made.steps):
        raise UsageError(f"{path} was not made by auditor plan: {fault}", "Make it again: auditor plan -o plan.json")
    return made


def _known(made: "Plan", path: Path) -> "list[Result]":
    """Return what the journal knows of each step."""
    from auditor.remediation.doing import Result
    from auditor.remediation.journal import Kept, read_journal

    kept = read_journal(path, made.digest)
    results = []
    for step in made.automatic:
        known = kept.get(step.id, Kept())
        if known.end is not None:
            end = known.end
            results.append(Result(step, end.outcome or "open", end.code, end.message, end.job))
        elif known.called is not None:
            results.append(Result(step, "open", "UnderWay", "it was sent, and its end is not noted"))
        else:
            results.append(Result(step, "skipped", "NotReached", "it was not begun"))
    return results


def _wrong(results: "Sequence[Result]") -> bool:
    return any(result.outcome in ("failed", "open") for result in results)


def _check_age(made: "Plan", max_age: str) -> None:
    longest = _seconds("--max-age", max_age)
    planned = parse_time(made.created_from.as_of)
    if planned is None:
        raise UsageError("the plan does not say when it was made", "Make it again: auditor plan -o plan.json")
    age = time.time() - planned / _SECOND
    if age < -_AHEAD:
        hint = "Check the clock, or the --as-of of the plan."
        raise UsageError(f"the plan is of {made.created_from.as_of}, which is to come", hint)
    if age > longest:
        hint = f"Make it anew, or allow it with --max-age {int(age // 3600) + 1}h: each step is looked at again."
        raise UsageError(f"the plan is of {made.created_from.as_of}, which is {_shown(age)} ago", hint)


def _seconds(flag: str, text: str) -> float:
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{flag} {text} is no time", "Write 90m, 24h or 3d.")
    return int(match[1]) * _UNITS[match[2]]


def _shown(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.0f} hours" if hours < 72 else f"{hours / 24:.0f} days"


def _tenant(made: "Plan", tenant: str | None) -> str:
    """Return the tenant that the plan is for."""
    if not made.tenant:
        if tenant is None:
            raise UsageError(
                "the plan does not say which tenant it is for", "It was made from exports: name it with --tenant ID."
            )
        return tenant
    if tenant is not None and fold(tenant) != fold(made.tenant):
        raise UsageError(f"the plan is for the tenant {made.tenant}, not {tenant}", "Leave --tenant out.")
    return made.tenant


def _judged_by(made: "Plan", config: Path | None) -> "tuple[Settings, bool]":
    """Return the settings that the plan was made by, and whether they are still the same."""
    from auditor.assessment.run_id import question_id
    from auditor.cli.audit import question_of

    asked = made.created_from.judged_by
    try:
        settings = settle(
            Flags(
                config=config or (Path(asked.config) if asked.config else None),
                rules=[Path(name) for name in asked.rules],
                profile=asked.profile or None,
                ignore=asked.ignore,
                parameters=asked.parameters,
                primary_endpoint=asked.primary_endpoint or None,
                exemptions=Path(asked.exemptions) if asked.exemptions else None,
            )
        )
    except UsageError:
        # Elsewhere than it was planned, say. Steps need none of it; how to sign in is said by flags, or here.
        return settle(Flags(config=config or (DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None))), False
    question = question_of(settings, asked.primary_endpoint or None, LiveFlags(), [])
    return settings, question_id(question) == asked.sha256


@contextmanager
def _alone(plan: Path) -> Iterator[None]:
    """Keep a second run of the same plan off, whatever journal it would write."""
    from auditor.remediation.journal import lock

    with plan.open("rb", buffering=0) as file:
        lock(file, f"another run of {plan} is under way")
        yield


def _check_can_agree(*, yes: bool) -> None:
    if not yes and (sys.stdin is None or not sys.stdin.isatty()):
        raise UsageError("nobody can be asked whether to apply the plan", "Say so with --yes, once it was reviewed.")


def _agree(made: "Plan", session: "Session") -> None:
    """Ask whether to go on: as whom, where, and which plan.

    Raises:
        UsageError: nobody agreed.
    """
    count = len(made.automatic)
    subscriptions = sorted({step.target.split("/")[2] for step in made.automatic})
    named = ", ".join(subscriptions[:3]) + (f" and {len(subscriptions) - 3} more" if len(subscriptions) > 3 else "")
    lines = [
        "",
        f"Apply {'this step' if count == 1 else f'these {count:,} steps'}?",
        f"  as            {session.identity.name}",
        f"  in            {session.cloud.name}, tenant {session.identity.tenant}",
        f"  subscription  {named}",
        f"  plan          {made.digest}",
    ]
    for line in lines:
        typer.echo(printable(line), err=True)
    typer.echo("Only 'yes' is taken for one: ", err=True, nl=False)
    if sys.stdin.readline().strip() != "yes":
        raise UsageError("nothing was applied: nobody agreed", "Answer yes, or give --yes.")


def _apply(
    made: "Plan", path: Path, azure: "Azure", tenant: str, bounds: "Bounds", *, yes: bool, wait_backup: bool
) -> "Applied":
    from auditor.azure.questions import QUESTIONS

    steps = made.automatic
    writes = {(step.request.method, fold(step.request.path)) for step in steps if step.request is not None}
    since = (parse_time(made.created_from.as_of) or 0) / _SECOND
    with closing(sign_in(azure, QUESTIONS, writes)) as session:
        _check_identity(made, session, tenant)
        if not yes:
            _agree(made, session)
        return _do(made, path, session, bounds, since, wait_backup=wait_backup)


def _do(
    made: "Plan", path: Path, session: "Session", bounds: "Bounds", since: float, *, wait_backup: bool
) -> "Applied":
    from auditor.azure.actuator import ArmActuator
    from auditor.cli.progress import Shown
    from auditor.formats.applied_terminal import line_of
    from auditor.remediation.apply import Applier, policy_steps
    from auditor.remediation.doing import Doer
    from auditor.remediation.journal import Journal

    steps = made.automatic
    with _stopping() as stop, Shown() as shown:
        caller = caller_of(session, stop)
        ended = 0

        def told(result: "Result") -> None:
            nonlocal ended
            ended += 1
            if result.code != "NotReached" and not result.earlier:
                shown.say(line_of(result))
            shown.steps(ended, len(steps))

        tool = f"azure-backup-auditor {__version__}"
        with closing(Journal(path, made.digest, tool, lambda: caller.azure_time)) as journal:
            if journal.resumed:
                shown.say(f"Going on with what {path} says was done")
            shown.say(f"Applying {len(steps):,} steps to {session.cloud.name} as {session.identity.name}")
            doer = Doer(ArmActuator(caller), journal, since, policy_steps(steps), wait_backup=wait_backup)
            applied = Applier(doer, journal, bounds, stop, told).apply(steps)
            journal.finished()
    return applied


def _check_identity(made: "Plan", session: "Session", tenant: str) -> None:
    if made.cloud and session.cloud.name != made.cloud:
        raise UsageError(f"the plan is for the cloud {made.cloud}, not {session.cloud.name}", "See --cloud.")
    if (made.tenant or is_subscription_id(tenant)) and fold(session.identity.tenant) != fold(tenant):
        raise UsageError(
            f"the plan is for the tenant {tenant}, and {session.identity.name} is of "
            f"{session.identity.tenant or 'one that its token does not name'}",
            "Sign in to the plan's tenant.",
        )


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Yield what is set by the first Ctrl-C, after which calls in flight are finished; the second one ends at once."""
    stop = threading.Event()

    def take(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            hint = "What was sent goes on in Azure: --status tells it. Run the same again to go on from here."
            raise StoppedByHand("stopped at once", hint)
        stop.set()
        typer.echo("\nStopping: calls in flight are finished, nothing else is begun. Again to end at once.", err=True)

    before = [(number, signal.signal(number, take)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield stop
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _verify(
    made: "Plan", applied: "Applied", settings: "Settings | None", azure: "Azure", out: "Console", patience: float
) -> bool:
    """Read Azure again and say which verdicts turned; return whether one that was promised did not."""
    from auditor.formats.applied_terminal import print_turned
    from auditor.remediation.promised import promised_of

    promised = promised_of(made, applied.results)
    if not promised.answers:
        return False
    if settings is None:
        why = "the plan was made by other rules or another configuration than are here"
        typer.echo(f"Verdicts are not looked at: {why}. See them with auditor audit.", err=True)
        return False
    began = time.monotonic()
    while True:
        letters = _letters(made, settings, azure, sorted(promised.subscriptions), promised.verdicts)
        turned = promised.held_against(letters)
        if not (turned.missing or turned.unread) or time.monotonic() - began >= patience:
            break
        count = len(turned.missing) + len(turned.unread)
        late = f"{count:,} did not turn: Resource Graph shows changes late, so it is asked again"
        typer.echo(late, err=True)
        time.sleep(_AGAIN)
    print_turned(turned, out)
    return bool(turned.missing or turned.unread)


def _letters(
    made: "Plan", settings: "Settings", azure: "Azure", subscriptions: list[str], wanted: list[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    """Return the letters that verdicts have now, of what is in some subscriptions."""
    from auditor.assessment.assess import assess
    from auditor.cli.audit import question_of
    from auditor.remediation.verdicts import letters_of

    live = LiveFlags(subscriptions, no_instance_views=True)
    with tempfile.TemporaryDirectory(prefix="auditor-") as name:
        folder = Path(name)
        facts = read_azure(live, azure, folder)
        flag = made.created_from.judged_by.primary_endpoint or None
        assessment = assess(facts, folder, question_of(settings, flag, live, []), brief=True)
        with closing(assessment.estate.connection):
            return letters_of(assessment, wanted)
