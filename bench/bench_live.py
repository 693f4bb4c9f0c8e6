"""Prints figures as JSON: how long reading Azure takes, against a stand-in with a latency and the real quotas.

    python bench/bench_live.py pages [PAGES]      1 s a page, 15 queries in 5 s: wall time against what the quota allows
    python bench/bench_live.py cpu [PAGES]        no latency and no quota: processor time and memory of a page
    python bench/bench_live.py views [VMS] [RATE] instance views at a rate: wall time against what the rate allows

It asserts nothing about time: machines differ. docs/performance.md says what was measured where.
"""

import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import arm.server
from arm import Arm, Estate, Quota
from arm.graph import Graph
from arm.web import Answer, Call

AUDITOR = str(Path(sys.executable).parent / "auditor")
SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
ROWS = 900  # of a part
_PARTS = re.compile(r"% (\d+) == (\d+)")


def row(number: int) -> str:
    """Return a row as our query of VMs projects it, of some 700 bytes."""
    name = f"vm-{number:07}"
    disks = [{"lun": 0, "name": f"{name}-data-0", "diskSizeGB": 128, "caching": "ReadOnly"}]
    cells = {
        "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-{number % 997:04}/providers/Microsoft.Compute"
        f"/virtualMachines/{name}",
        "name": name,
        "type": "microsoft.compute/virtualmachines",
        "tags": {"environment": "production", "owner": f"team-{number % 41}"},
        "auditor_query": "0" * 8,
        "location": "westeurope",
        "created": "2025-03-01T07:12:44.1234567Z",
        "size": "Standard_D4s_v5",
        "storage_read": True,
        "os_type": "Linux",
        "os_disk_origin": "FromImage",
        "from_image": True,
        "image_publisher": "canonical",
        "image_offer": "ubuntu-24_04-lts",
        "ephemeral_os_disk": False,
        "provisioning_state": "Succeeded",
        "power_state": "PowerState/running",
        "provision_vm_agent_2": True,
        "allow_extensions": True,
        "data_disk_luns": disks,
    }
    return json.dumps(cells, separators=(",", ":"))


class MadeUp(Graph):
    """Answers for VMs out of thin air: a million rows are not kept to be asked for once."""

    pages = 0

    def _answer(self, call: Call) -> Answer:
        query = str(call.json()["query"])
        if "virtualmachines'" not in query:
            return super()._answer(call)
        match = _PARTS.search(query)
        part, parts = (int(match[2]), int(match[1])) if match else (0, 1)
        held = ROWS if match else min(1_000, ROWS * self.pages)
        total = ROWS if match else ROWS * self.pages
        rows = ",".join(row(part + parts * number) for number in range(held))
        token = "" if held >= total else ',"$skipToken":"more"'
        head = f'{{"totalRecords":{total},"count":{held},"facets":[],"resultTruncated":"false"{token},"data":['
        return Answer(body=f"{head}{rows}]}}".encode())


def serve(pages: int, vms: int, queries: int, latency: float, pipe: Connection) -> None:
    """Stand in for Azure until told to stop; tell what was asked."""
    if pages:
        MadeUp.pages = pages
        vars(arm.server)["Graph"] = MadeUp  # instead of the one that executes queries
    power = {"code": "PowerState/running"}
    view = {"statuses": [power], "vmAgent": {"vmAgentVersion": "2.9", "statuses": [{"displayStatus": "Ready"}]}}
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
    resources: list[dict[str, Any]] = [
        {
            "id": f"{group}/providers/Microsoft.Compute/virtualMachines/vm{number}",
            "name": f"vm{number}",
            "type": "Microsoft.Compute/virtualMachines",
            "properties": {"instanceView": view, "extended": {"instanceView": {"powerState": power}}},
        }
        for number in range(vms)
    ]
    resources.append({"id": f"/subscriptions/{SUBSCRIPTION}", "type": "Microsoft.Resources/subscriptions", "name": "s"})
    with Arm(Estate(resources), quota=Quota(queries, 5.0), latency=latency) as standing:
        pipe.send(standing.environment)
        pipe.recv()
        seen = list(standing.requests)
    queried = [entry for entry in seen if "ResourceGraph" in entry.path]
    viewed = [entry for entry in seen if entry.path.endswith("/instanceView")]
    pipe.send(
        {
            "queries": len(queried),
            "query_seconds": round(queried[-1].at - queried[0].at, 1) if queried else 0,
            "views": len(viewed),
            "view_seconds": round(viewed[-1].at - viewed[0].at, 1) if viewed else 0,
            "statuses": dict(Counter(entry.status for entry in seen)),
        }
    )


def collect(pages: int, vms: int, queries: int, latency: float, arguments: list[str]) -> dict[str, Any]:
    """Collect a snapshot from a stand-in in a process of its own; return what it took and what was asked."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(pages, vms, queries, latency, theirs))
    server.start()
    environment = {**os.environ, **ours.recv()}
    with tempfile.TemporaryDirectory() as folder:
        command = [AUDITOR, "collect", "-o", "taken", "--login", "service-principal", *arguments]
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=environment)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    ours.send("stop")
    asked: dict[str, Any] = ours.recv()
    server.join()
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "wall": round(wall, 1),
        "cpu": round(used.ru_utime + used.ru_stime, 1),
        "megabytes": used.ru_maxrss // 1024,
        **asked,
    }


def main() -> None:
    """Measure what the command line asks for."""
    what, *numbers = sys.argv[1:] or ["cpu"]
    figures: dict[str, Any] = {"bytes_a_row": len(row(500_000))}
    if what == "pages":
        pages = int(numbers[0]) if numbers else 1_000
        figures |= collect(pages, 0, 15, 1.0, ["--no-instance-views"])
        figures["ideal"] = round((figures["queries"] - 1) // 15 * 5.0 + 1.0, 1)
        figures["of_ideal"] = round(figures["query_seconds"] / figures["ideal"], 3)
    elif what == "cpu":
        pages = int(numbers[0]) if numbers else 200
        few, many = (collect(count, 0, 100_000, 0.0, ["--no-instance-views"]) for count in (20, pages))
        figures |= {"few": few, "many": many}
        figures["cpu_ms_a_page"] = round((many["cpu"] - few["cpu"]) / (pages - 20) * 1_000, 1)
    else:
        vms, rate = int(numbers[0]) if numbers else 10_000, numbers[1] if len(numbers) > 1 else "100"
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as settings:
            settings.write(f"azure: {{details_per_second: {rate}}}\n")
            settings.flush()
            figures |= collect(0, vms, 1_000, 0.1, ["--config", settings.name])
        figures["ideal"] = round(vms / float(rate), 1)
        figures["of_ideal"] = round(figures["view_seconds"] / figures["ideal"], 3)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
