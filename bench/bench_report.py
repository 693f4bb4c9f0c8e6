"""Prints figures as JSON: what reports of a large estate cost, made by the audit and out of report.json.

    python bench/bench_report.py [VMS]

Two reports: by the rules as they are, and by limits so strict that six verdicts of five VMs are findings. It asserts
nothing about time: machines differ.
"""

import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from bench_audit import measure

RUNS = 3
AUDIT = ["audit", "--inventory", "snap", "--primary-endpoint", "azure"]
LIMITS = {
    "as they are": [],
    "strict": ["--param", "backup-on-schedule.slack_hours=0", "--param", "backup-within-rpo.rpo_hours=18"],
}
COUNT = "import json; print(json.dumps(json.load(open('out.json', encoding='utf-8'))['summary']['counts']))"


def reports(folder: Path, limits: list[str]) -> dict[str, object]:
    """Measure the reports of one audit."""
    figures: dict[str, object] = {}
    for name in ("html", "json"):
        figures[f"audit -o .{name}"] = measure([*AUDIT, *limits, "-o", f"out.{name}"], folder, RUNS)
    for name in ("html", "csv"):
        figures[f"render -o .{name}"] = measure(["render", "out.json", "-o", f"out.{name}"], folder, RUNS)
    # Counted by another process: a large parent would be counted among the memory of its children.
    counts = json.loads(subprocess.check_output([sys.executable, "-c", COUNT], cwd=folder))
    figures["verdicts"] = sum(counts[outcome] for outcome in ("pass", "fail", "unknown", "not_applicable"))
    figures["findings"] = counts["fail"] + counts["unknown"]
    return figures | {"bytes": {path.name: path.stat().st_size for path in sorted(folder.glob("out.*"))}}


def main() -> None:
    """Measure and print."""
    vms = int(sys.argv[1]) if len(sys.argv) > 1 else 83_700
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = Path(__file__).with_name("synthetic_snapshot.py")
        subprocess.run([sys.executable, str(script), str(folder / "snap"), str(vms)], check=True)
        figures = {kind: reports(folder, limits) for kind, limits in LIMITS.items()}
    machine = {"cpus": os.cpu_count(), "python": sys.version.split()[0], "duckdb": version("duckdb")}
    sys.stdout.write(json.dumps({"machine": machine, "vms": vms, "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
