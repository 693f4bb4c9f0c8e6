"""Makes reports of any text, as somebody could sign one: what every format has to stand."""

from typing import Any

import msgspec
from hypothesis import strategies as st

from auditor.assessment.evidence import show
from auditor.assessment.model import Baseline, Evidence, Finding, FindingExemption, GapInfo, Report
from auditor.declared.config import Threshold
from auditor.gate import Counts, decide

TEXT = st.text(
    alphabet=st.one_of(
        st.characters(),
        st.sampled_from("/\\<>&\"'=\x00\x01\x02\x1b\u202e\u200b\ufeff\ud800\U000e0041é\u2028"),
    ),
    max_size=12,
)
CELL = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5000), st.floats(-1e6, 1e6), TEXT, st.lists(TEXT, max_size=3)
)
_THRESHOLDS: tuple[Threshold, ...] = ("critical", "high", "low", "never", "new:critical", "new:high", "new:low")


@st.composite
def reports(draw: st.DrawFn, base: Report) -> Report:
    """Make a report of hostile texts: resources, outcomes and findings with evidence."""
    resources, outcomes, findings = [], {}, []
    for kind in ("vm", "vault"):
        ids = draw(st.lists(TEXT, min_size=0, max_size=6, unique=True))
        resources += [
            msgspec.structs.replace(
                base.resources[0],
                id=f"/subscriptions/{name}/x" if draw(st.booleans()) else name,
                kind=kind,
                name=draw(st.sampled_from([name, "x"])),
                subscription=draw(st.sampled_from([None, name, "S"])),
                resource_group=draw(st.one_of(st.none(), TEXT)),
                location=draw(st.sampled_from([None, "westeurope"])),
                source=draw(TEXT),
            )
            for name in ids
        ]
    resources = list({(entry.kind, entry.id): entry for entry in resources}.values())
    rules = [rule for rule in base.rules if rule.resource in ("vm", "vault")][:3]
    exemption = FindingExemption(id="<EX>\u202e", category="waiver", reason="r", owner="o", ticket="", expires="2027")
    for rule in rules:
        judged = [resource for resource in resources if resource.kind == rule.resource]
        letters = [draw(st.sampled_from("pfun")) for _ in judged]
        outcomes[rule.id] = "".join(letters)
        fields = draw(st.lists(st.sampled_from("abcdefghijkl"), unique=True, max_size=12))
        for resource, letter in zip(judged, letters, strict=True):
            if letter in "pn":
                continue
            values = [draw(CELL) for _ in fields]
            shown = [show(value) for value in values if value is not None]
            findings.append(
                Finding(
                    fingerprint="0" * 32,
                    rule=rule.id,
                    resource=resource.id,
                    outcome="fail" if letter == "f" else "unknown",
                    severity=rule.severity,
                    exempt=False,
                    message=draw(TEXT) + "".join(draw(st.permutations(shown))),
                    expected=draw(TEXT),
                    observed=", ".join(shown),
                    evidence=[
                        Evidence(field=name, value=value, source=draw(TEXT), reason=draw(TEXT), expected=draw(TEXT))
                        for name, value in zip(fields, values, strict=True)
                    ],
                    exemption=draw(st.sampled_from([None, exemption])),
                    baseline=draw(st.sampled_from([None, "new", "unchanged"])),
                )
            )
    return msgspec.structs.replace(
        base, resources=resources, outcomes=outcomes, rules=rules, findings=draw(st.permutations(findings))
    )


@st.composite
def gated_reports(draw: st.DrawFn, base: Report) -> Report:
    """Make such a report whose numbers, gaps and gate follow from its verdicts, under any threshold."""
    report = draw(reports(base))
    threshold, strict = draw(st.sampled_from(_THRESHOLDS)), draw(st.booleans())
    findings = [
        msgspec.structs.replace(found, exempt=found.exemption is not None and draw(st.booleans()))
        for found in report.findings
    ]
    rules = [msgspec.structs.replace(rule, counts=_counts(report, rule.id, findings)) for rule in report.rules]
    gaps = [
        GapInfo(table="vaults", scope=draw(TEXT), kind="refused", cause=draw(TEXT), hint=draw(TEXT))
        for _ in range(draw(st.integers(0, 3)))
    ]
    baseline = None
    if threshold.startswith("new:"):
        baseline = Baseline(
            content_sha256="0" * 64, as_of=None, tool_version="1", new=1, unchanged=1, fixed=0, rules_changed=[],
            not_comparable=[],
        )  # fmt: skip
    new = {
        rule.id: sum(
            found.rule == rule.id and found.outcome == "fail" and found.baseline == "new" and not found.exempt
            for found in findings
        )
        for rule in rules
    }
    judged: Any = [(rule, rule.counts) for rule in rules]  # the gate wants no more of a rule than id and severity
    missing = [gap.cause for gap in gaps if draw(st.booleans())]
    gate = decide(judged, missing, threshold, strict=strict, new=new if baseline is not None else None)
    total = {name: sum(getattr(rule.counts, name) for rule in rules) for name in Counts.__struct_fields__}
    return msgspec.structs.replace(
        report,
        rules=rules,
        gaps=gaps,
        findings=findings,
        baseline=baseline,
        options=msgspec.structs.replace(report.options, fail_on=threshold, strict=strict),
        summary=msgspec.structs.replace(report.summary, gate=gate, counts=Counts(**total)),
    )


def _counts(report: Report, rule: str, findings: list[Finding]) -> Counts:
    passed, fail, unknown, not_applicable = (report.outcomes[rule].count(letter) for letter in "pfun")
    exempt = [found.outcome for found in findings if found.rule == rule and found.exempt]
    return Counts(
        passed=passed,
        fail=fail,
        unknown=unknown,
        not_applicable=not_applicable,
        exempt=exempt.count("fail"),
        exempt_unknown=exempt.count("unknown"),
    )
