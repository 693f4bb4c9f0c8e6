"""All that goes into an audit -> one hash, so that two reports can be told to answer the same question."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from auditor import __version__
from auditor.assessment.model import Options
from auditor.assessment.question import Question
from auditor.errors import Place
from auditor.inventory.model import Inventory
from auditor.text import without_surrogates


def run_id(inventory: Inventory, question: Question, options: Options, now: int | None) -> str:
    """Return the SHA-256, in hex, of everything that a report is made of.

    Two audits have the same one exactly when they read and asked the same. Which order paths were given in, and where
    files lie, is no part of it as far as it is no part of the report.

    Args:
        inventory: the facts.
        question: the rules and what was declared.
        options: the same as the report tells it.
        now: what counts as now.
    """
    content = {
        "version": __version__,
        "now": now,
        "inventory": _read(inventory),
        "options": options,
        # Evidence names the flag where the flag said it, and the configuration by its name.
        **_judged_by(question),
        "known": sorted([rule.id, rule.sha256] for rule in question.known),
        "baseline": question.baseline.content_sha256 if question.baseline is not None else None,
    }
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def question_id(question: Question) -> str:
    """Return the SHA-256, in hex, of what verdicts are judged by: all of a question but the inventory and the time."""
    config = question.config
    content = {
        **_judged_by(question),
        "version": __version__,
        "config": question.config_sha256,
        "exemptions": question.exemptions.sha256,
        "options": [config.profile, config.vaults_in, question.primary_endpoint],
    }
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def _judged_by(question: Question) -> dict[str, Any]:
    """Return the rules in force and what was declared, as hashes and names."""
    return {
        "endpoint_flag": question.primary_endpoint,
        "default_intent": without_surrogates(question.intents.default_source),
        "exemptions_file": without_surrogates(question.exemptions.file),
        "rules": sorted(
            [
                rule.id,
                rule.rule.sha256,
                _name(rule.rule.place),
                rule.rule.place.line,
                rule.rule.own,
                rule.severity,
                rule.values,
            ]
            for rule in question.rules
        ),
        "exclusions": [
            [exclusion.reason, _name(exclusion.place), exclusion.place.line, repr(exclusion.condition)]
            for exclusion in question.exclusions
        ],
    }


def _name(place: Place) -> str:
    """Return the name of a file; where it lies must not change anything."""
    return without_surrogates(Path(place.file).name)


def _read(inventory: Inventory) -> dict[str, Any]:
    """Return what was read: each file by its hash, snapshots by that of their manifest, which names their files."""
    alone = len(inventory.snapshots) == 1 and not inventory.spool  # then nothing is said of its name
    return {
        "sources": sorted(inventory.sources),
        "snapshots": sorted(["" if alone else snapshot.name, snapshot.sha256] for snapshot in inventory.snapshots),
        # What was found unreadable, or of another kind, is no source and yet in the report.
        "gaps": sorted(inventory.gaps),
        "notices": sorted(inventory.notices),
        "passed_over": sorted(inventory.passed_over),
        "other_files": inventory.other_files,
        "assumed": sorted(inventory.assumed),
        "collected_at": inventory.collected_at,
        "collected_until": inventory.collected_until,
        "judged": sorted(inventory.origin.judged) if inventory.origin is not None else None,
    }
