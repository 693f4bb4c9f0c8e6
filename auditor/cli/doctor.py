"""``auditor doctor``: what there is to know before the first audit of Azure."""

from contextlib import closing
from typing import TYPE_CHECKING

import typer

from auditor.cli import options
from auditor.cli.live import LiveFlags, asked_of, caller_of, settle_azure, sign_in
from auditor.cli.progress import counted
from auditor.cli.question import Flags, azure_settings
from auditor.errors import ExitCode
from auditor.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.azure.doctor import Diagnosis, SubscriptionHealth

MOST_SUBSCRIPTIONS = 50
_MOST_SKEW = 30.0  # seconds; beyond it tokens and ages suffer


def doctor(
    config: options.ConfigFile = None,
    subscription: options.Subscriptions = [],
    management_group: options.ManagementGroups = [],
    tenant: options.Tenant = None,
    cloud: options.CloudOption = None,
    login: options.LoginOption = None,
    *,
    no_instance_views: options.NoInstanceViews = False,
) -> None:
    """Check identity, subscriptions, permissions, quota and clock before the first audit of Azure. It changes nothing.

    Exit codes: 0 an audit can read all that it is asked for, 2 something given is wrong, 3 it cannot, 4 Azure not
    reached or identity refused, 70 internal error, 130 interrupted.
    """
    flags = LiveFlags(subscription, management_group, tenant, cloud, login, no_instance_views)
    settings = settle_azure(flags, azure_settings(Flags(config=config)))
    asked = asked_of(flags, settings)
    from auditor.azure.doctor import diagnose

    with closing(sign_in(settings)) as session:
        found = diagnose(caller_of(session), asked)
        home = session.identity.tenant or "not told"
        _say("Cloud", f"{session.cloud.name} ({session.cloud.endpoint})")
        _say("Signed in", f"{session.identity.name}, tenant {home}, login {settings.login}")
    for label, text in (*_environment(found), *_subscriptions(found), *_next(found)):
        _say(label, text)
    raise typer.Exit(ExitCode.CANNOT_CONCLUDE if found.complaints or _missing(found) else ExitCode.OK)


def _say(label: str, text: str) -> None:
    typer.echo(printable(f"{label:<13} {text}"))


def _environment(found: "Diagnosis") -> "Iterator[tuple[str, str]]":
    if found.skew is not None:
        off = abs(found.skew)
        which = "this machine is behind" if found.skew > 0 else "this machine is ahead"
        wrong = "; set it right: tokens and ages go by it" if off > _MOST_SKEW else ""
        yield "Clock", f"within {max(off, 1.0):.0f} s of Azure's" if not wrong else f"{which} by {off:.0f} s{wrong}"
    quota = f"{found.quota[0]} of {found.quota[1]} queries left in this window" if found.quota else "not told"
    reads = f", Resource Manager {found.reads_left:,} reads" if found.reads_left is not None else ""
    yield "Quota", f"Resource Graph {quota}{reads}"


def _subscriptions(found: "Diagnosis") -> "Iterator[tuple[str, str]]":
    judged = sum(entry.judged for entry in found.subscriptions)
    more = len(found.subscriptions) - judged
    yield "Subscriptions", f"{judged:,} would be judged" + (f", {more:,} more only looked into" if more else "")
    troubled = [entry for entry in found.subscriptions if _trouble(entry)]
    for entry in troubled[:MOST_SUBSCRIPTIONS]:
        for line in _trouble(entry):
            yield "", f"{entry.name or entry.id} ({entry.id}): {line}"
    if len(troubled) > MOST_SUBSCRIPTIONS:
        yield "", f"and {len(troubled) - MOST_SUBSCRIPTIONS:,} more like these"
    for gap in found.reach.gaps:
        if not any(entry.id == gap.scope for entry in found.subscriptions):
            yield "Not readable", f"{gap.cause}. {gap.hint}"
    for notice in found.reach.notices:
        yield "Note", notice
    yield from _roles(found)


def _trouble(entry: "SubscriptionHealth") -> list[str]:
    said = []
    if entry.unseen:
        said.append(f"cannot be seen whole: {entry.unseen}. Ask for the role Reader on it")
    if entry.missing:
        said.append(f"an audit needs {', '.join(entry.missing)}. Ask for the role Reader on it")
    said += [f"{name} is not registered: there can be nothing of it" for name in entry.unregistered]
    return said


def _roles(found: "Diagnosis") -> "Iterator[tuple[str, str]]":
    """Say what remediation would need, subscriptions with the same lack together."""
    lacking: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for entry in found.subscriptions:
        for role, actions in entry.lacking.items() if entry.judged else ():
            lacking.setdefault((role, tuple(actions)), []).append(entry.name or entry.id)
    for (role, actions), names in lacking.items():
        some = ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")
        yield "Remediation", f"would need the role {role} on {some}: {', '.join(actions)}"


def _next(found: "Diagnosis") -> "Iterator[tuple[str, str]]":
    told = [counted(name, count) for name, count in found.rows.items() if count]
    if told:
        yield "Would read", f"{', '.join(told)}; in {_duration(found.seconds)} or more"
    first = "ask for what is missing, then: " if found.complaints else ""
    yield "Next", f"{first}auditor audit -o report.html"


def _missing(found: "Diagnosis") -> bool:
    return any(entry.judged and (entry.unseen or entry.missing) for entry in found.subscriptions)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1.0):.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5_400 else f"{seconds / 3_600:.1f} hours"
