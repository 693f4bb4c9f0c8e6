"""Prints figures as JSON: how long applying a plan takes, against what its operations take by themselves.

    python bench/bench_apply.py [STEPS] [PARALLEL] [SPEED]

Protects STEPS VMs (1,000) on a stand-in whose operations take 60 s, PARALLEL (20) at a time. Its clock runs SPEED
(20) times as fast as ours, and so do the pauses and rates of the auditor: measured is what waiting and asking add.

It asserts nothing about time: machines differ. docs/performance.md says what was measured where.
"""

import json
import os
import resource
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from arm import Arm, Estate, Quota
from building import estate, item_id, policy_id, vm_id

from auditor.azure.actuator import READS_PER_SECOND, WRITES_PER_SECOND, ArmActuator
from auditor.azure.calls import Caller
from auditor.azure.clouds import cloud_named
from auditor.azure.pace import Timing
from auditor.azure.questions import QUESTIONS
from auditor.azure.session import open_session
from auditor.remediation import requests
from auditor.remediation.apply import Applier, Bounds, policy_steps
from auditor.remediation.doing import Doer
from auditor.remediation.journal import Journal
from auditor.remediation.model import Step, step_id
from auditor.text import fold

SECONDS = 60.0


def protect(name: str) -> Step:
    """Return the step that protects a VM, as a plan has it."""
    item, vm = item_id(name), vm_id(name)
    request = requests.put_item(item, vm, policy_id())
    return Step(
        id=step_id("EnableProtection", item, request),
        kind="EnableProtection",
        target=item,
        title=f"Protect {name}",
        request=request,
        preconditions=[
            requests.absent(item, requests.BACKUP_VERSION),
            requests.there(vm, requests.COMPUTE_VERSION),
        ],
        after={"sourceResourceId": vm, "policyId": policy_id()},
    )


def apply(steps: int, parallel: int, speed: float) -> dict[str, Any]:
    """Apply so many steps and say how long it took, in the stand-in's time."""
    built = estate().vault().policy()
    for number in range(steps):
        built.vm(f"vm{number:05}")
    plan = [protect(f"vm{number:05}") for number in range(steps)]
    writes = {(step.request.method, fold(step.request.path)) for step in plan if step.request is not None}
    stop = threading.Event()
    began_cpu = resource.getrusage(resource.RUSAGE_SELF)
    with (
        tempfile.TemporaryDirectory() as name,
        Arm(Estate(built.resources), quota=Quota(1_000, 5.0), access="owner", operation_seconds=SECONDS) as arm,
    ):
        os.environ.update(arm.environment)
        arm.clock.speed(speed)
        timing = Timing(lambda: time.monotonic() * speed, lambda seconds: stop.wait(seconds / speed))
        cloud = cloud_named("public", arm.url, arm.url)
        with closing(open_session(cloud, "service-principal", questions=QUESTIONS, writes=writes)) as session:
            caller = Caller(session, timing, time.time)
            journal = Journal(Path(name) / "journal", "a plan", "a benchmark", arm.clock.time)
            with closing(journal):
                actuator = ArmActuator(caller, READS_PER_SECOND, WRITES_PER_SECOND)
                doer = Doer(actuator, journal, arm.clock.time(), policy_steps(plan))
                began = time.monotonic()
                applied = Applier(doer, journal, Bounds(parallel), stop, lambda _: None).apply(plan)
                took = (time.monotonic() - began) * speed
        sent = len(arm.requests)
    used = resource.getrusage(resource.RUSAGE_SELF)
    ideal = steps / parallel * SECONDS
    return {
        "steps": steps,
        "parallel": parallel,
        "applied": sum(result.outcome == "applied" for result in applied.results),
        "ideal_s": round(ideal),
        "took_s": round(took),
        "ratio": round(took / ideal, 3),
        "requests": sent,
        "cpu_s_with_stand_in": round(used.ru_utime + used.ru_stime - began_cpu.ru_utime - began_cpu.ru_stime, 1),
    }


if __name__ == "__main__":
    numbers = [float(argument) for argument in sys.argv[1:]] + [1000, 20, 20][len(sys.argv) - 1 :]
    print(json.dumps(apply(int(numbers[0]), int(numbers[1]), numbers[2])))
