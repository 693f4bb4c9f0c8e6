"""Prints figures as JSON: CPU, wall and memory of the commands people wait for. ``python bench/bench_audit.py [VMS]``.

It asserts nothing about time: machines differ. docs/performance.md says what was measured where.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from synthetic import write

RUNS = 5
AUDITOR = str(Path(sys.executable).parent / "auditor")


def measure(arguments: list[str], folder: Path) -> dict[str, float]:
    """Run a command ``RUNS`` times after a warm-up; return the medians of its seconds and its largest memory."""
    figures = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        process = subprocess.Popen(
            [AUDITOR, *arguments],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
        figures.append((used.ru_utime + used.ru_stime, time.perf_counter() - started, used.ru_maxrss / 1024))
    cpu, wall, memory = (sorted(column)[(RUNS + 1) // 2] for column in zip(*figures[1:], strict=True))
    return {"cpu_s": round(cpu, 3), "wall_s": round(wall, 3), "memory_mb": round(memory, 1)}


def main() -> None:
    """Measure and print."""
    vms = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "estate", vms)
        audit = ["audit", "--inventory", "estate", "--primary-endpoint", "azure", "--as-of", "2026-11-02T06:00:00Z"]
        figures = {
            "auditor --help": measure(["--help"], folder),
            "auditor rules list": measure(["rules", "list"], folder),
            f"auditor audit, {vms} VMs to .json": measure([*audit, "-o", "out.json"], folder),
            f"auditor audit, {vms} VMs to .json, .csv and .html": measure(
                [*audit, "-o", "out.json", "-o", "out.csv", "-o", "out.html"],
                folder,
            ),
        }
        sizes = {path.name: path.stat().st_size for path in sorted(folder.glob("out.*"))}
    machine = {"cpus": os.cpu_count(), "python": sys.version.split()[0], "page_kb": resource.getpagesize() // 1024}
    sys.stdout.write(json.dumps({"machine": machine, "figures": figures, "bytes": sizes}, indent=2) + "\n")


if __name__ == "__main__":
    main()
