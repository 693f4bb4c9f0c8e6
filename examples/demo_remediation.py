#!/usr/bin/env python3
"""Audit, plan, apply and audit again: the example estate on a stand-in for Azure, all on this machine.

The stand-in is the one that the tests use: it answers as Resource Manager and Resource Graph do, on 127.0.0.1 with a
certificate of its own, and the auditor that talks to it is the installed one. The estate's past is moved, so that it
looks now as it did at the time that it was made for.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from arm import Arm, Estate, Quota  # noqa: E402 -- the stand-in lies beside the tests
from reading import whole_resources  # noqa: E402

from auditor.timestamps import parse_time, show_time  # noqa: E402

AS_OF = datetime.fromisoformat("2026-11-02T06:00:00+00:00")
AUDITOR = str(Path(sys.executable).parent / "auditor")
_SCHEDULES = ("schedulePolicy", "retentionPolicy")
_NEVER = ("0001-", "2001-")  # Azure's ways of saying that something never happened


def main() -> int:
    """Run the demo in a folder; return what its last command returned that matters."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE.parent / "out" / "remediation", help="where reports go")
    out: Path = parser.parse_args().out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    later = (datetime.now(UTC) - AS_OF) // timedelta(microseconds=1)
    resources = [moved(resource, later) for resource in whole_resources(exported())]
    tenant = next(str(entry["tenantId"]) for entry in resources if entry.get("tenantId"))
    whole = Estate(resources, tenant=tenant)
    config = ["--config", str(HERE / "auditor.yaml"), "--login", "service-principal"]
    with (
        tempfile.TemporaryDirectory() as home,
        Arm(whole, quota=Quota(100, 5.0), access="owner", operation_seconds=3.0, backup_seconds=6.0) as arm,
    ):
        environment = {**os.environ, **arm.environment, "HOME": home, "PYTHONUTF8": "1"}
        for old in out.glob("plan.json*"):
            old.unlink()
        run(environment, out, "audit", *config, "-o", "before.json", "-o", "before.html")
        run(environment, out, "plan", *config, "--trigger-backup", "-o", "plan.json", "-o", "plan.html")
        apply = ("apply", "plan.json", "--yes", "--wait-backup", "--verdicts-within", "1m")
        code = run(environment, out, *apply, "--login", "service-principal")
        run(environment, out, "audit", *config, "-o", "after.json", "-o", "after.html")
        run(environment, out, "diff", "before.json", "after.json")
        print(f"\nReports, plan and journal are in {out}.")
        print(f"Nothing left this machine: {len(arm.mutations)} writes went to {arm.url}.")
    return code


def run(environment: dict[str, str], folder: Path, *arguments: str) -> int:
    """Run a command as a person would, and show it."""
    print(f"\n$ auditor {' '.join(arguments)}", flush=True)
    return subprocess.run([AUDITOR, *arguments], env=environment, cwd=folder, check=False).returncode


def exported() -> Iterator[dict[str, Any]]:
    """Yield every resource of the example's exports."""
    for path in sorted((HERE / "estate").iterdir()):
        text = path.read_text(encoding="utf-8")
        pages = [json.loads(line) for line in text.splitlines()] if path.suffix == ".ndjson" else [json.loads(text)]
        for page in pages:
            if isinstance(page, list):
                yield from page
            else:
                yield from page.get("value") or page.get("data") or [page]


def moved(resource: dict[str, Any], later: int) -> dict[str, Any]:
    """Return a resource whose past lies some microseconds later."""
    return {name: _moved(name, value, later) for name, value in resource.items()}


def _moved(name: str, value: Any, later: int) -> Any:  # noqa: ANN401 -- JSON of any kind
    if name in _SCHEDULES:  # a schedule's times say when on a day, on whatever day
        return value
    if isinstance(value, dict):
        return {inner: _moved(inner, held, later) for inner, held in value.items()}
    if isinstance(value, list):
        return [_moved(name, held, later) for held in value]
    time = parse_time(value) if isinstance(value, str) else None
    return value if time is None or value.startswith(_NEVER) else show_time(time + later)


if __name__ == "__main__":
    sys.exit(main())
