"""The auditor as a library: the same verdicts as the command, typed, and cheap until it is used."""

import doctest
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from building import NOW, estate
from test_command import run

import auditor
from auditor import LoadedInventory, api, evaluate, load_inventory, load_rules
from auditor.errors import InputErrors, UsageError
from auditor.timestamps import parse_recent, parse_time

REPOSITORY = Path(__file__).resolve().parent.parent
EXAMPLES = REPOSITORY / "examples"
AS_OF = "2026-11-02T06:00:00Z"
TWO = [rule for rule in load_rules() if rule.id in ("vm-protected", "policy-runs-per-day")]


@pytest.fixture(scope="module")
def example() -> LoadedInventory:
    return load_inventory(EXAMPLES / "estate")


def small(**said: Any) -> LoadedInventory:
    resources = estate().vm("web").item("web").vault().policy().resources
    Path("estate.json").write_text(json.dumps({"value": resources}), encoding="utf-8")
    return load_inventory("estate.json", **said)


def outcomes(found: api.Evaluation, rule: str) -> dict[str, str]:
    return {verdict.resource.lower(): verdict.outcome for verdict in found.verdicts if verdict.rule == rule}


def complaint(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        call()
    return caught.value.message, caught.value.hint


def test_the_examples_of_the_library_and_its_page_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert doctest.testmod(api) == (0, 15)
    assert doctest.testfile(str(REPOSITORY / "docs" / "library.md"), module_relative=False) == (0, 13)


def test_the_example_gets_the_verdicts_that_were_reasoned_out_by_hand(example: LoadedInventory) -> None:
    found = evaluate(example, as_of=AS_OF, config=EXAMPLES / "auditor.yaml")
    expected = json.loads((EXAMPLES / "expected.json").read_text(encoding="utf-8"))
    assert {rule: outcomes(found, rule) for rule in expected} == expected
    assert len(found.verdicts) == sum(map(len, expected.values()))
    assert (found.summary.verdict, found.summary.gate.exit_code, found.as_of) == ("Not compliant", 1, AS_OF)
    for verdict in found.verdicts:
        assert verdict.message
        assert verdict.evidence
        assert (verdict.outcome == "unknown") == verdict.message.startswith("Cannot tell: ")


def test_an_inventory_is_evaluated_as_often_as_one_likes_with_the_same_result(example: LoadedInventory) -> None:
    first, second = (evaluate(example, TWO, as_of=AS_OF) for _ in range(2))
    assert first == second
    assert [verdict.rule for verdict in first.verdicts] == sorted(
        (verdict.rule for verdict in first.verdicts), key=["vm-protected", "policy-runs-per-day"].index
    )


def test_exactly_the_rules_that_are_given_are_evaluated_whatever_the_profile(example: LoadedInventory) -> None:
    hardened = [rule for rule in load_rules() if "baseline" not in rule.profiles][:2]
    found = evaluate(example, hardened, as_of=AS_OF)
    assert {verdict.rule for verdict in found.verdicts} == {rule.id for rule in hardened}
    chosen = {verdict.rule for verdict in evaluate(example, as_of=AS_OF).verdicts}
    assert chosen == {rule.id for rule in load_rules() if "baseline" in rule.profiles}


def test_the_time_is_the_one_given_else_the_inventorys_never_the_clocks() -> None:
    inventory = small()
    found = evaluate(inventory, TWO)
    assert (found.as_of, inventory.collected_at) == (None, None)
    moment = parse_time(NOW)
    assert moment is not None
    same: list[str | datetime] = [NOW, datetime.fromtimestamp(moment / 1_000_000, UTC)]
    assert [evaluate(inventory, TWO, as_of=when).as_of for when in same] == [NOW, NOW]


def test_a_snapshot_knows_its_own_time(tmp_path: Path) -> None:
    small()
    taken = run("collect", "--inventory", "estate.json", "--as-of", NOW, "-o", "taken", folder=tmp_path)
    assert taken.returncode in (0, 3), taken.stderr
    inventory = load_inventory("taken")
    found = evaluate(inventory, TWO)
    assert (inventory.collected_at, found.as_of) == (NOW, NOW)
    assert {verdict.outcome for verdict in found.verdicts if verdict.rule == "vm-protected"} == {"pass"}


def test_parameters_go_before_those_of_the_configuration(example: LoadedInventory, tmp_path: Path) -> None:
    config = tmp_path / "auditor.yaml"
    config.write_text("parameters: {policy-runs-per-day: {maximum: 4}}\n", encoding="utf-8")

    def failing(**said: Any) -> int:
        found = evaluate(example, TWO, as_of=AS_OF, **said)
        return list(outcomes(found, "policy-runs-per-day").values()).count("fail")

    assert failing() == 2
    assert failing(config=config, parameters={"policy-runs-per-day": {"maximum": 6}}) == 1
    assert failing(config=config, parameters={"policy-runs-per-day": {"maximum": 6, "minimum": 0}}) == 0


def test_a_profile_goes_before_that_of_the_configuration(example: LoadedInventory) -> None:
    agent = [rule for rule in load_rules() if rule.id == "vm-agent-installed"]
    passing = [
        list(outcomes(evaluate(example, agent, as_of=AS_OF, profile=name), "vm-agent-installed").values()).count("pass")
        for name in ("baseline", "hardened")
    ]
    assert passing[0] > passing[1] > 0


def test_no_configuration_is_read_that_is_not_given() -> None:
    Path("auditor.yaml").write_text("nonsense: true\n", encoding="utf-8")
    assert evaluate(small(), TWO).verdicts


def test_exemptions_mark_verdicts_and_change_no_outcome(example: LoadedInventory) -> None:
    config = EXAMPLES / "auditor.yaml"
    plain = evaluate(example, TWO, as_of=AS_OF, config=config)
    found = evaluate(example, TWO, as_of=AS_OF, config=config, exemptions=EXAMPLES / "exemptions.yaml")
    assert [verdict.outcome for verdict in found.verdicts] == [verdict.outcome for verdict in plain.verdicts]
    assert sum(verdict.exempt for verdict in found.verdicts) == 3
    assert not any(verdict.exempt for verdict in plain.verdicts)


def test_what_was_not_exported_is_a_gap_unless_somebody_says_that_there_is_none() -> None:
    def missing(**said: Any) -> set[str]:
        return {gap.table for gap in evaluate(small(**said), TWO, as_of=NOW).gaps}

    assert "backup_jobs" in missing()
    assert "backup_jobs" not in missing(complete=["backup_jobs"])
    Path("c.yaml").write_text("exports: {complete: [backup_jobs]}\n", encoding="utf-8")
    assert "backup_jobs" not in {gap.table for gap in evaluate(small(), TWO, as_of=NOW, config="c.yaml").gaps}


def test_own_rules_are_loaded_beside_the_bundled_ones_or_alone() -> None:
    Path("mine").mkdir()
    text = "id: own\ntitle: T\nseverity: low\nresource: vm\nrationale: R\nmessage: m\n"
    Path("mine/own.yaml").write_text(text + "require: {field: vm.name, equals: web}\n", encoding="utf-8")
    assert [rule.id for rule in load_rules("mine", bundled=False)] == ["own"]
    assert {rule.id for rule in load_rules("mine")} == {"own", *(rule.id for rule in load_rules())}
    (verdict,) = evaluate(small(), load_rules("mine", bundled=False)).verdicts
    assert (verdict.rule, verdict.outcome) == ("own", "pass")
    Path("mine/own.yaml").write_text(text + "require: {field: vm.nme, equals: web}\n", encoding="utf-8")
    with pytest.raises(InputErrors, match=r"mine/own\.yaml:7:11: unknown field vm\.nme"):
        load_rules("mine")


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        ({"as_of": "yesterday"}, "as_of yesterday is not a time with a zone", "2026-01-31T06:00:00Z"),
        ({"as_of": datetime(2026, 1, 31)}, "is not a time with a zone", "2026-01-31T06:00:00Z"),  # noqa: DTZ001
        ({"profile": "hardend"}, "profile is never hardend", "Did you mean hardened?"),
        ({"primary_endpoint": "aws"}, "primary_endpoint is never aws", "azure"),
        ({"config": "none.yaml"}, "cannot read none.yaml", "Check the path"),
        ({"exemptions": "none.yaml"}, "cannot read none.yaml", "Check the path"),
        ({"parameters": {"vm-protectd": {}}}, "parameters: there is no rule vm-protectd", "Did you mean vm-protected?"),
        ({"parameters": {"vm-protected": {"grace": 1}}}, "has no parameter grace", "Did you mean grace_hours?"),
        ({"parameters": {"vm-protected": {"grace_hours": "a"}}}, "is of type number", ""),
        ({"rules": []}, "no rule is given", "Leave rules out"),
        ({"rules": [*TWO, TWO[0]]}, "is given twice", "once"),
    ],
)
def test_what_is_wrong_is_said_with_a_hint(said: dict[str, Any], message: str, hint: str) -> None:
    inventory = small()
    wrong, what_to_do = complaint(lambda: evaluate(inventory, **{"rules": TWO, **said}))
    assert message in wrong
    assert hint in what_to_do


def test_an_inventory_that_is_not_there_is_said_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert "none.json" in complaint(lambda: load_inventory("none.json"))[0]
    assert complaint(lambda: load_inventory(complete=["backup_job"])) == (
        "there is no table backup_job",
        "Did you mean backup_jobs?",
    )
    assert list(tmp_path.iterdir()) == []


def test_the_working_files_of_an_inventory_go_when_it_does() -> None:
    inventory = small()
    folder = inventory.folder
    evaluate(inventory, TWO)
    assert folder.exists()
    assert not [entry for entry in folder.iterdir() if entry.is_dir()]
    del inventory
    assert not folder.exists()


def test_importing_the_package_loads_nothing_heavy_and_names_only_what_there_is() -> None:
    program = (
        "import sys, auditor\n"
        "assert auditor.__version__\n"
        "heavy = {name.partition('.')[0] for name in sys.modules} & {'azure', 'duckdb', 'jinja2', 'msgspec', 'yaml'}\n"
        "assert not heavy, heavy\n"
        "from auditor import evaluate\n"
        "assert 'duckdb' in sys.modules\n"
        "assert not {'azure', 'typer', 'jinja2'} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    with pytest.raises(AttributeError, match="has no attribute 'evaluat'"):
        auditor.evaluat  # type: ignore[attr-defined]  # noqa: B018 -- it is not there
    assert all(getattr(auditor, name) for name in auditor.__all__)


def test_times_that_leave_no_room_for_ages_are_none() -> None:
    assert parse_recent("2000-01-01T00:00:00Z") == parse_time("2000-01-01T00:00:00Z")
    assert parse_recent("9000-01-01T00:00:00Z") == parse_time("9000-01-01T00:00:00Z")
    assert parse_recent("1999-12-31T23:59:59Z") is None
    assert parse_recent("9000-01-01T00:00:01Z") is None
