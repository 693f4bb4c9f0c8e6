"""What the process exits with, and the one word that the report says whatever the gate is set to."""

from typing import Any

import pytest
from building import EstateBuilder, estate

from auditor.declared.config import Severity, Threshold
from auditor.gate import Counts, Gate, decide
from auditor.ruleset.load import bind, bundled_files, load_rules
from auditor.ruleset.model import SEVERITIES, BoundRule

RULES = load_rules(bundled_files())
THRESHOLDS: tuple[Threshold, ...] = (*SEVERITIES, "never")


def rule(severity: Severity, number: int = 0) -> BoundRule:
    return bind(RULES[number], {}, severity, "here")


def gate(
    *judged: tuple[Severity, Counts],
    missing: tuple[str, ...] = (),
    threshold: Threshold = "high",
    strict: bool = False,
) -> Gate:
    rules = [(rule(severity, number), counts) for number, (severity, counts) in enumerate(judged)]
    return decide(rules, missing, threshold, strict=strict)


PASSED, FAILED, UNKNOWN = Counts(passed=3), Counts(passed=2, fail=1), Counts(passed=2, unknown=1)


def test_no_violation_gives_0() -> None:
    assert gate(("high", PASSED)) == Gate(exit_code=0, reasons=["no violation of severity high or higher"])


@pytest.mark.parametrize("threshold", SEVERITIES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_violation_counts_from_the_threshold_on(severity: Severity, threshold: Threshold) -> None:
    counts = SEVERITIES.index(severity) <= THRESHOLDS.index(threshold)
    assert gate((severity, FAILED), threshold=threshold).exit_code == (1 if counts else 0)


def test_violations_are_counted_by_rule() -> None:
    found = gate(("high", Counts(fail=2)), ("critical", Counts(fail=1)), ("low", Counts(fail=9)))
    reason = f"violations of severity high or higher: 2 of {RULES[0].id}, 1 of {RULES[1].id}"
    assert found == Gate(exit_code=1, reasons=[reason])


def test_an_exempt_failure_is_no_violation() -> None:
    assert gate(("high", Counts(passed=1, fail=2, exempt=2))).exit_code == 0
    found = gate(("high", Counts(fail=3, exempt=2)))
    assert (found.exit_code, found.reasons) == (1, [f"violations of severity high or higher: 1 of {RULES[0].id}"])


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("counts", [PASSED, FAILED, UNKNOWN, Counts(unknown=1), Counts()])
@pytest.mark.parametrize("missing", [(), ("a file was cut short",)])
def test_never_gives_0_whatever_was_found(counts: Counts, missing: tuple[str, ...], *, strict: bool) -> None:
    found = gate(("critical", counts), missing=missing, threshold="never", strict=strict)
    assert found == Gate(exit_code=0, reasons=["the gate is off (--fail-on never)"])


def test_an_unknown_verdict_alone_does_not_keep_the_gate_from_concluding_unless_it_is_strict() -> None:
    assert gate(("high", UNKNOWN)).exit_code == 0
    found = gate(("high", UNKNOWN), ("low", UNKNOWN), strict=True)
    assert (found.exit_code, found.reasons) == (3, ["2 unknown verdicts (--strict)"])
    assert gate(("high", PASSED), strict=True).exit_code == 0


def test_a_rule_that_comes_to_no_conclusion_gives_3() -> None:
    found = gate(("high", PASSED), ("low", Counts(unknown=4, not_applicable=1)))
    reason = f"{RULES[1].id} came to no conclusion: 4 unknown, not one pass or fail"
    assert (found.exit_code, found.reasons) == (3, [reason])
    assert gate(("high", PASSED), ("low", Counts(unknown=4, passed=1))).exit_code == 0
    assert gate(("high", PASSED), ("low", Counts(unknown=4, fail=1))).exit_code == 0
    assert gate(("high", PASSED), ("low", Counts(not_applicable=4))).exit_code == 0


def test_what_was_not_read_gives_3_with_its_causes() -> None:
    found = gate(("high", PASSED), missing=("vms.json was cut short", "no vaults in the export"))
    assert (found.exit_code, found.reasons) == (3, ["vms.json was cut short", "no vaults in the export"])


@pytest.mark.parametrize("counts", [Counts(), Counts(not_applicable=5)])
def test_nothing_to_judge_gives_3(counts: Counts) -> None:
    found = gate(("high", counts), ("low", counts))
    assert (found.exit_code, found.reasons) == (3, ["nothing was found to judge"])


def test_every_reason_is_told() -> None:
    found = gate(("low", Counts(unknown=1)), missing=("a gap",), strict=True)
    no_conclusion = f"{RULES[0].id} came to no conclusion: 1 unknown, not one pass or fail"
    assert found.reasons == ["a gap", no_conclusion, "1 unknown verdict (--strict)"]


@pytest.mark.parametrize("strict", [True, False])
def test_violations_go_before_what_cannot_be_concluded(*, strict: bool) -> None:
    found = gate(("high", FAILED), ("low", Counts(unknown=1)), missing=("a gap",), strict=strict)
    assert found.exit_code == 1
    # A violation below the threshold is none, and does not hide that the answer cannot be relied on.
    assert gate(("low", FAILED), missing=("a gap",), strict=strict).exit_code == 3


# The same on estates


def sound() -> EstateBuilder:
    return estate().vm("web").item("web").vault().policy().whole()


def said(builder: EstateBuilder, **flags: Any) -> tuple[str, int]:
    summary = builder.audit(**flags).report.summary
    return summary.verdict, summary.gate.exit_code


def test_compliant_is_said_only_when_all_was_read_and_nothing_fails() -> None:
    assert said(sound()) == ("Compliant", 0)


def test_the_word_does_not_depend_on_the_gate() -> None:
    exposed = sound().vm("db")
    assert said(exposed) == ("Not compliant", 1)
    assert said(exposed, fail_on="never") == ("Not compliant", 0)
    config = "severities: {vm-protected: low}\n"
    assert said(exposed, config=config) == ("Not compliant", 0)
    assert said(exposed, config=config, fail_on="low") == ("Not compliant", 1)
    assert said(exposed, strict=True) == ("Not compliant", 1)


def test_one_unknown_verdict_is_enough_not_to_conclude() -> None:
    unclear = sound().vm("db").item("db", state="NobodyKnows")
    assert said(unclear) == ("Cannot conclude", 0)
    assert said(unclear, strict=True) == ("Cannot conclude", 3)
    assert said(unclear, fail_on="never") == ("Cannot conclude", 0)


def test_a_failing_verdict_goes_before_an_unknown_one() -> None:
    assert said(sound().vm("db").item("db", state="NobodyKnows").vm("app")) == ("Not compliant", 1)


def test_what_was_not_exported_and_is_wanted_keeps_from_concluding() -> None:
    assert said(estate().vm("web").vault().policy(), fail_on="critical") == ("Cannot conclude", 3)
    assert said(estate().vm("web"), select=["vm-agent-installed"]) == ("Compliant", 0)


def test_what_was_not_exported_and_is_not_wanted_is_no_gap() -> None:
    assert said(estate().vault(), select=["vault-redundancy-matches-intent"]) == ("Compliant", 0)
    assert said(estate().vault(), select=["vm-agent-installed"]) == ("Cannot conclude", 3)


def test_an_estate_in_which_nothing_is_judged_is_not_compliant() -> None:
    config = "scope: {exclude: [{reason: All, field: vm.name, like: '*'}]}\n"
    assert said(sound(), config=config, select=["vm-protected"]) == ("Cannot conclude", 3)


def test_the_sentence_counts_what_fails_and_what_is_unknown() -> None:
    builder = sound().vm("db").vm("app").item("app", state="NobodyKnows")
    summary = builder.audit(select=["vm-protected"]).report.summary
    assert summary.sentence == "1 of 3 verdicts fail (1 critical) and 1 is unknown, on 3 VMs."
    assert summary.failing_by_severity == {"critical": 1, "high": 0, "medium": 0, "low": 0}
