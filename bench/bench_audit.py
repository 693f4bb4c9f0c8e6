"""Prints figures as JSON: CPU, wall and memory of the commands people wait for.

    python bench/bench_audit.py exports [VMS]     start-up, import, verdicts and each report out of raw JSON
    python bench/bench_audit.py snapshot [VMS]    verdicts out of a snapshot, and reports of a small one
    python bench/bench_audit.py plan [VMS]        a plan for VMs none of which is protected

It asserts nothing about time: machines differ. docs/performance.md says what was measured where.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import synthetic

RUNS = 5
LARGEST_REPORT = 100_000  # VMs of which a report with evidence is measured: findings are built in memory
AUDITOR = str(Path(sys.executable).parent / "auditor")
NOW = "2026-11-02T06:00:00Z"
# What the bundled rules compare of a VM and its item, without any text that is long.
NEEDED = {
    "virtual_machines": "n, created, power_state, provision_vm_agent, agent_status, allow_extensions, subscription_id",
    "protected_items": "n, vm_id_n, policy_id_n, vault_id_n, protection_state, last_recovery_point, health",
    "backup_jobs": "operation_key, status_key, started, container_n",
}


def measure(
    arguments: list[str], folder: Path, runs: int = RUNS, before: Callable[[], object] = bool
) -> dict[str, float]:
    """Run a command after a warm-up; return the medians of its seconds and its largest memory."""
    figures = []
    for _ in range(runs + 1):
        before()
        started = time.perf_counter()
        process = subprocess.Popen(
            [AUDITOR, *arguments],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode in (0, 1, 3), f"{arguments} exits with {process.returncode}"
        figures.append((used.ru_utime + used.ru_stime, time.perf_counter() - started, used.ru_maxrss / 1024))
    cpu, wall, memory = (sorted(column)[len(column) // 2] for column in zip(*figures[1:], strict=True))
    return {"cpu_s": round(cpu, 3), "wall_s": round(wall, 3), "memory_mb": round(memory, 1)}


def floor(work: Callable[[], object]) -> dict[str, float]:
    """Measure work in this process: what no auditor could do without."""
    started, wall = time.process_time(), time.perf_counter()
    work()
    return {"cpu_s": round(time.process_time() - started, 3), "wall_s": round(time.perf_counter() - wall, 3)}


def exports(folder: Path, vms: int) -> dict[str, object]:
    """Measure what begins with raw JSON."""
    synthetic.write(folder / "estate", vms)
    files = sorted((folder / "estate").iterdir())
    runs = RUNS if vms <= 10_000 else 1
    audit = ["audit", "--inventory", "estate", "--primary-endpoint", "azure", "--as-of", NOW]
    resources = sum(json.loads(path.read_text(encoding="utf-8"))["value"].__len__() for path in files)

    def snap() -> None:
        shutil.rmtree(folder / "snap", ignore_errors=True)

    figures: dict[str, object] = {
        "resources": resources,
        "json_bytes": sum(path.stat().st_size for path in files),
        "floor: the JSON bytes read": floor(lambda: [path.read_bytes() for path in files]),
        "auditor --help": measure(["--help"], folder),
        "auditor rules list": measure(["rules", "list"], folder),
        "import: auditor collect": measure(["collect", "--inventory", "estate", "-o", "snap"], folder, runs, snap),
        "verdicts: audit -o .parquet": measure([*audit, "-o", "out.parquet"], folder, runs),
        "evidence: audit without output": measure(audit, folder, runs),
    }
    for name in ("json", "csv", "html"):
        figures[f"report: audit -o .{name}"] = measure([*audit, "-o", f"out.{name}"], folder, runs)
    return figures | {"bytes": {path.name: path.stat().st_size for path in sorted(folder.glob("out.*"))}}


def snapshot(folder: Path, vms: int) -> dict[str, object]:
    """Measure what begins with a snapshot."""
    import duckdb  # noqa: PLC0415 -- a large parent would be counted among the memory of its children
    import synthetic_snapshot  # noqa: PLC0415

    subprocess.run([sys.executable, synthetic_snapshot.__file__, str(folder / "snap"), str(vms)], check=True)

    def read() -> None:
        with duckdb.connect(config={"threads": 2}) as connection:
            for table, columns in NEEDED.items():
                path = folder / "snap" / f"{table}.parquet"
                # Counts would be answered without decoding a value.
                values = ", ".join(f"max(hash({column.strip()}))" for column in columns.split(","))
                connection.execute(f"SELECT {values} FROM read_parquet(?)", [str(path)]).fetchall()

    def copy() -> None:
        with duckdb.connect(config={"threads": 1}) as connection:
            for table in ("virtual_machines", "protected_items"):
                read = f"SELECT id, subscription_id FROM read_parquet('{folder / 'snap' / table}.parquet')"
                to = f"'{folder / table}.ids.parquet'"
                connection.execute(f"COPY ({read}) TO {to} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)")

    audit = ["audit", "--inventory", "snap", "--primary-endpoint", "azure", "-o", "out.parquet"]
    figures: dict[str, object] = {
        "verdicts: audit -o .parquet": measure(audit, folder, 3),
        "floor: the needed columns read": floor(read),
        "floor: the ids read and written": floor(copy),
    }
    for name in ("json", "html") if vms <= LARGEST_REPORT else ():
        figures[f"report: audit -o .{name}"] = measure([*audit[:-1], f"out.{name}"], folder, 1)
    with duckdb.connect() as connection:
        cursor = connection.execute(
            "SELECT * EXCLUDE (kind, resource_id, subscription_id, exempt) FROM read_parquet(?)",
            [str(folder / "out.parquet")],
        )
        rules = [column[0] for column in cursor.description or ()]
        counts = ", ".join(f'count("{rule}")' for rule in rules)
        found = connection.execute(f"SELECT {counts} FROM read_parquet(?)", [str(folder / "out.parquet")]).fetchone()
        figures["verdicts"] = sum(found or ())
    return figures


def plan(folder: Path, vms: int) -> dict[str, object]:
    """Measure planning for VMs that all fail."""
    synthetic.write(folder / "estate", vms, protected=False)
    complete = ["--complete", "protected_items,backup_jobs"]
    subprocess.run([AUDITOR, "collect", "--inventory", "estate", "-o", "snap", "--as-of", NOW], cwd=folder, check=True)
    planned = ["plan", "--inventory", "snap", "--primary-endpoint", "azure", *complete]
    figures: dict[str, object] = {
        "audit -o .parquet": measure(["audit", *planned[1:], "-o", "out.parquet"], folder, 1),
        "plan -o .json": measure([*planned, "-o", "plan.json"], folder, 1),
        "plan -o .json -o .html -o .md": measure(
            [*planned, "-o", "plan.json", "-o", "plan.html", "-o", "plan.md"], folder, 1
        ),
    }
    kinds = Counter(step["kind"] for step in json.loads((folder / "plan.json").read_bytes())["steps"])
    return figures | {
        "steps": kinds,
        "bytes": {path.name: path.stat().st_size for path in sorted(folder.glob("plan.*"))},
    }


def main() -> None:
    """Measure and print."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "exports"
    vms = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000
    with tempfile.TemporaryDirectory() as name:
        figures = {"exports": exports, "snapshot": snapshot, "plan": plan}[kind](Path(name), vms)
    machine = {"cpus": os.cpu_count(), "python": sys.version.split()[0], "duckdb": version("duckdb")}
    sys.stdout.write(json.dumps({"machine": machine, "vms": vms, "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
