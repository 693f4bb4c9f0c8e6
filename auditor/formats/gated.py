"""Which findings the gate counts: those for which a pipeline stops, and why it does not for the others."""

from auditor.assessment.model import Finding, Report
from auditor.formats.explore_data import exemption_words
from auditor.gate import counted_by


class GateView:
    """The findings of a report as its gate saw them."""

    def __init__(self, report: Report) -> None:
        """Look at the threshold of a report, and at its rules that came to no conclusion."""
        self._options = report.options
        self._severities, only_new = counted_by(report.options.fail_on)
        self._only_new = only_new and report.baseline is not None
        self._inconclusive = {rule.id for rule in report.rules if not rule.counts.passed and not rule.counts.fail}

    def lets_pass(self, finding: Finding) -> str:
        """Say why the gate does not count a finding; empty where it does, exit code 1 for a fail, 3 for an unknown.

        An unknown verdict counts with ``--strict``, and where its rule came to no conclusion at all.
        """
        if finding.exempt:
            said = finding.exemption
            return f"exempt: {exemption_words(said)}" if said is not None else "exempt"
        if not self._severities:
            return "the gate is off (--fail-on never)"
        if finding.outcome == "fail":
            if finding.severity not in self._severities:
                return f"of severity {finding.severity}: the gate fails from {self._severities[-1]} on"
            if self._only_new and finding.baseline != "new":
                return "not new: the gate fails on what the baseline does not know"
            return ""
        if self._options.strict or finding.rule in self._inconclusive:
            return ""
        return "not known: the gate counts it with --strict only"
