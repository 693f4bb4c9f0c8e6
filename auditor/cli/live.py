"""Flags, configuration and environment -> an inventory read from Azure."""

import logging
import os
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from auditor import __version__
from auditor.arm_id import is_subscription_id
from auditor.declared.config import Azure, CloudName, Login
from auditor.errors import UsageError
from auditor.text import fold
from auditor.yaml_source import did_you_mean

if TYPE_CHECKING:
    import re
    from collections.abc import Collection

    from auditor.azure.calls import Caller
    from auditor.azure.checkpoint import Checkpoint
    from auditor.azure.scope import Asked
    from auditor.azure.session import Session
    from auditor.inventory.model import Inventory

ENDPOINT, AUTHORITY = "AUDITOR_ARM_ENDPOINT", "AZURE_AUTHORITY_HOST"


@dataclass(frozen=True, slots=True)
class LiveFlags:
    """What the command line says about reading Azure; empty where it says nothing."""

    subscriptions: Sequence[str] = ()
    management_groups: Sequence[str] = ()
    tenant: str | None = None
    cloud: str | None = None
    login: str | None = None
    no_instance_views: bool = False

    def check_unused(self) -> None:
        """Complain about flags that only make sense when Azure is read.

        Raises:
            UsageError: one of them is given.
        """
        given = {
            "--management-group": bool(self.management_groups),
            "--tenant": self.tenant is not None,
            "--cloud": self.cloud is not None,
            "--login": self.login is not None,
            "--no-instance-views": self.no_instance_views,
        }
        for flag in (flag for flag, there in given.items() if there):
            raise UsageError(
                f"{flag} is for reading Azure, and --inventory says to read files", "Leave one of them out."
            )

    def folded_subscriptions(self) -> frozenset[str]:
        """Return the ids of the subscriptions, as they are compared.

        Raises:
            UsageError: one of them is no id.
        """
        for name in self.subscriptions:
            if not is_subscription_id(name.strip()):
                raise UsageError(
                    f"--subscription {name} is no id of a subscription", "az account list -o table shows them."
                )
        return frozenset(fold(name.strip()) for name in self.subscriptions)


def check_inventory(inventory: Sequence[str], live: LiveFlags) -> None:
    """Complain about names of inventories that are empty, and flags that do not go with them.

    Raises:
        UsageError: there is such a thing.
    """
    if not all(inventory):
        hint = "Leave --inventory out to read Azure, or name a snapshot or exported JSON: is a variable not set?"
        raise UsageError("an inventory without a name", hint)
    live.folded_subscriptions()
    if inventory:
        live.check_unused()


def settle_azure(flags: LiveFlags, config: Azure) -> Azure:
    """Lay the flags over the configuration.

    Raises:
        UsageError: a flag says something that it never says.
    """
    from typing import get_args

    import msgspec

    clouds, logins = get_args(CloudName), get_args(Login)
    for flag, value, words in (("--cloud", flags.cloud, clouds), ("--login", flags.login, logins)):
        if value is not None and value not in words:
            raise UsageError(f"{flag} is never {value}", did_you_mean(value, words))
    return msgspec.structs.replace(
        config,
        cloud=flags.cloud or config.cloud,
        login=flags.login or config.login,
        tenant=flags.tenant if flags.tenant is not None else config.tenant,
        instance_views=config.instance_views and not flags.no_instance_views,
    )


def sign_in(
    settings: Azure,
    questions: "re.Pattern[str] | None" = None,
    writes: "Collection[tuple[str, str]]" = (),
) -> "Session":
    """Sign in to the cloud; raises as ``open_session`` does."""
    from auditor.azure.clouds import cloud_named
    from auditor.azure.session import open_session

    # azure-identity warns of every way that did not work, over pages; what is wrong is said in one line.
    quiet = logging.getLogger("azure")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    endpoint = os.environ.get(ENDPOINT)
    cloud = cloud_named(settings.cloud, endpoint, os.environ.get(AUTHORITY) if endpoint else None)
    return open_session(
        cloud, settings.login, settings.tenant, os.environ.get("AZURE_CLIENT_ID", ""), questions, writes
    )


def caller_of(session: "Session", stop: threading.Event | None = None) -> "Caller":
    """Return what sends the requests of a session, by the clock of this machine, until ``stop`` is set."""
    from auditor.azure.calls import Caller
    from auditor.azure.pace import Timing

    # Whoever interrupts reading does so in the main thread: nobody else has to be told, workers are left behind.
    return Caller(session, Timing(time.monotonic, (stop or threading.Event()).wait), time.time)


def asked_of(flags: LiveFlags, settings: Azure) -> "Asked":
    """Return what is asked for.

    Raises:
        UsageError: a subscription is named by something else than its id.
    """
    from auditor.azure.scope import Asked

    return Asked(
        tuple(sorted(flags.folded_subscriptions())),
        tuple(dict.fromkeys(flags.management_groups)),
        settings.instance_views,
        settings.details_per_second,
    )


def read_azure(flags: LiveFlags, config: Azure, folder: Path, target: Path | None = None) -> "Inventory":
    """Read an inventory from Azure.

    Args:
        flags: what the command line says.
        config: what the configuration says.
        folder: for the inventory's own files; it must outlive the inventory.
        target: the snapshot that it will become. What is read is kept beside it, so that the next run can go on, and
            is to be removed by ``forget`` when the snapshot is there.

    Raises:
        UsageError: a flag is wrong.
        AzureError: Azure was not reached, or refused the identity.
    """
    from auditor.azure.live import LiveReader
    from auditor.cli.progress import Shown
    from auditor.inventory.spool import Spool

    settings = settle_azure(flags, config)
    asked = asked_of(flags, settings)
    spool_folder = folder / "live"
    spool_folder.mkdir()
    with closing(sign_in(settings)) as session, Shown() as shown, Spool(spool_folder) as spool:
        shown.begin(session.cloud.name, session.identity)
        started = _now()
        kept = _checkpoint(target, session, asked, settings, started) if target is not None else None
        if kept is not None and kept.resumed:
            started = kept.question.started
            shown.say(f"Going on with what was read into {kept.folder}")
        reader = LiveReader(caller_of(session), asked, spool, kept, shown)
        try:
            inventory = reader.read(started, _now)
        finally:
            if kept is not None:
                kept.close()
        shown.end(reader.spent)
    return inventory


def beside(target: Path) -> Path:
    """Return the folder in which what was read is kept until the snapshot is there."""
    if not target.name or target.name == "..":
        raise UsageError(f"-o {target} is no name for a snapshot", "Name a new folder.")
    return target.with_name(f"{target.name}.partial")


def forget(target: Path) -> None:
    """Remove what was kept: the snapshot is there."""
    import shutil

    shutil.rmtree(beside(target), ignore_errors=True)


def _checkpoint(target: Path, session: "Session", asked: "Asked", settings: Azure, started: int) -> "Checkpoint":
    import hashlib

    from auditor.azure.checkpoint import Checkpoint, Question
    from auditor.azure.live import asked_queries

    question = Question(
        tool=f"azure-backup-auditor {__version__}",
        endpoint=session.cloud.endpoint,
        tenant=session.identity.tenant,
        principal=session.identity.name,
        scope=list(asked.scope),
        instance_views=settings.instance_views,
        queries=hashlib.sha256("\n".join(asked_queries()).encode()).hexdigest(),
        started=started,
    )
    return Checkpoint(beside(target), question)


def _now() -> int:
    return time.time_ns() // 1000
