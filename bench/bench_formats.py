"""Measures the report formats: ``python bench/bench_formats.py FORMAT...`` prints figures for 100,000 findings as JSON.

A format is a suffix without its dot, such as ``csv`` or ``junit.xml``. Each is measured in a process of its own.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from auditor.assessment.assess import sign
from auditor.assessment.evidence import fingerprint
from auditor.assessment.model import Evidence, Finding, Report, Resource
from auditor.formats import SUFFIXES, writer_for, writes_matrix
from auditor.gate import Counts

FINDINGS = 100_000
RULES = 10
_EVERY = 2  # every second verdict is a finding


def report_of(findings: int, template: Report) -> Report:
    """Return a report with so many findings, half of all its verdicts, made of the rules of another."""
    vms = findings * _EVERY // RULES
    resources = [
        Resource(
            id=f"/subscriptions/{n // 2_000:08x}-5b6e-4a0c-9d37-1f2e3d4c5b6a/resourceGroups/rg-workload-{n // 20:05d}"
            f"/providers/Microsoft.Compute/virtualMachines/vm-app-production-{n:07d}",
            kind="vm",
            name=f"vm-app-production-{n:07d}",
            subscription=f"{n // 2_000:08x}-5b6e-4a0c-9d37-1f2e3d4c5b6a",
            resource_group=f"rg-workload-{n // 20:05d}",
            location="westeurope",
            source="estate/virtual-machines.json",
        )
        for n in range(vms)
    ]
    counts = Counts(passed=vms - vms // _EVERY, fail=vms // _EVERY)
    of_vms = [rule for rule in template.rules if rule.resource == "vm"][:RULES]
    rules = [msgspec.structs.replace(rule, counts=counts) for rule in of_vms]
    letters = "fp" * (vms // _EVERY)
    found = [
        _finding(rule.id, rule.severity, resource)
        for rule in rules
        for resource, letter in zip(resources, letters, strict=True)
        if letter == "f"
    ]
    total = Counts(passed=counts.passed * len(rules), fail=len(found))
    return sign(
        msgspec.structs.replace(
            template,
            resources=resources,
            rules=rules,
            outcomes=dict.fromkeys((rule.id for rule in rules), letters),
            findings=found,
            summary=msgspec.structs.replace(template.summary, counts=total),
        )
    )


def _finding(rule: str, severity: str, subject: Resource) -> Finding:
    evidence = [
        Evidence(
            field=f"item.{name}",
            value=f"{name} of {subject.name}",
            source="estate/protected-items.json",
            reason="",
            expected=f"in protected, {name} (parameter accept)",
        )
        for name in ("state", "policy_id", "last_recovery_point", "hours_overdue")
    ]
    return msgspec.convert(
        {
            "fingerprint": fingerprint(rule, subject.id.lower()),
            "rule": rule,
            "resource": subject.id,
            "outcome": "fail",
            "severity": severity,
            "exempt": False,
            "message": f"Not backed up: the item of {subject.name} is in the state ProtectionStopped since 2026-03-01.",
            "expected": "item.state in protected (parameter accept)",
            "observed": f"item.state = stopped, item.hours_overdue = {len(subject.name) * 100}",
            "evidence": evidence,
        },
        Finding,
        from_attributes=True,
    )


def measure(suffix: str) -> dict[str, object]:
    """Write one format and return what it cost."""
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "example.json"
        command = [sys.executable, "-m", "auditor", "audit", "--inventory", "examples/estate"]
        command += ["--config", "examples/auditor.yaml", "--as-of", "2026-11-02T06:00:00Z", "-o", str(plain)]
        subprocess.run(command, cwd=root, stdout=subprocess.DEVNULL, check=False)
        template = msgspec.json.decode(plain.read_bytes(), type=Report)
        report = report_of(FINDINGS, template)
        writer, name = writer_for(f"{suffix}:{Path(folder) / 'out'}")
        assert not writes_matrix(writer)
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started, cpu = time.perf_counter(), time.process_time()
        with Path(name).open("wb") as file:
            writer.write(report, file)
        return {
            "format": suffix,
            "findings": len(report.findings),
            "cpu_seconds": round(time.process_time() - cpu, 2),
            "wall_seconds": round(time.perf_counter() - started, 2),
            "writer_mb": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) / 1024),
            "file_mb": round(Path(name).stat().st_size / 1_000_000, 1),
        }


def main() -> None:
    """Measure the formats that are named, or all of them."""
    asked = sys.argv[1:] or [suffix[1:] for suffix in SUFFIXES if suffix != ".parquet"]
    if len(asked) == 1:
        print(json.dumps(measure(asked[0])))
        return
    for suffix in asked:
        subprocess.run([sys.executable, __file__, suffix], env=os.environ, check=True)


if __name__ == "__main__":
    main()
