"""Snapshots say what the exports said that they were made of, and refuse to say anything when they are damaged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest
from building import (
    NOW,
    OTHER_SUBSCRIPTION,
    SUBSCRIPTION,
    EstateBuilder,
    estate,
    group_id,
    item_id,
    policy_id,
    vault_id,
    vm_id,
)

from auditor.assessment.model import OUTCOMES
from auditor.errors import UsageError
from auditor.inventory.snapshot import MANIFEST, open_snapshot

Json = dict[str, Any]
Run = Callable[..., tuple[int, str]]


@pytest.fixture(name="run")
def run_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command in a folder of its own; exit code and what it said."""
    from auditor.cli.app import _Interrupts, _run  # noqa: PLC0415 -- the command, without a process of its own

    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["auditor", *arguments])
        capsys.readouterr()
        interrupts = _Interrupts.__new__(_Interrupts)
        interrupts.came = False
        code = _run(interrupts)
        said = capsys.readouterr()
        return int(code), said.out + said.err

    return run


def write(path: Path, builder: EstateBuilder) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"value": builder.resources}), encoding="utf-8")


def varied() -> EstateBuilder:
    """Return an estate with some of everything: problems, tags in two letter cases, strays, jobs, unusual names."""
    built = estate().vault().policy().vm("web", tags={"Env": "Prod", "größe": "Ä"}).item("web").job("web", "Backup")
    built.vm("db", powerState="odd", hardwareProfile={"vmSize": 5}).item("db", state="NobodyKnows")
    built.vm("ÜBER", id=vm_id("ÜBER")).item("gone", lastRecoveryPoint="2001-01-01T00:00:00Z")
    built.add({"id": group_id(), "name": "rg", "type": "Microsoft.Resources/subscriptions/resourceGroups"})
    return built.vm("web2", tags={"n": 5})


def report(path: Path) -> Json:
    loaded: Json = json.loads(path.read_text(encoding="utf-8"))
    # Where facts were read differs, and so does what is made of it.
    for key in ("content_sha256", "inventory", "run_id"):
        loaded.pop(key)
    return loaded


FLAGS = ("--primary-endpoint", "azure", "--fail-on", "never")


def snapshot(run: Run, folder: Path, builder: EstateBuilder, name: str = "snap", when: str = NOW) -> Path:
    write(folder / f"{name}-export.json", builder)
    assert run("collect", "--inventory", f"{name}-export.json", "-o", name, "--as-of", when)[0] == 0
    return folder / name


def test_a_snapshot_gives_the_report_of_its_exports(run: Run, tmp_path: Path) -> None:
    snapshot(run, tmp_path, varied())
    assert run("audit", "--inventory", "snap", *FLAGS, "-o", "a.json")[0] == 0
    assert run("audit", "--inventory", "snap-export.json", "--as-of", NOW, *FLAGS, "-o", "b.json")[0] == 0
    assert report(tmp_path / "a.json") == report(tmp_path / "b.json")


def test_a_snapshot_of_a_snapshot_is_the_same_again(run: Run, tmp_path: Path) -> None:
    first = snapshot(run, tmp_path, varied())
    assert run("collect", "--inventory", "snap", "-o", "again")[0] == 0
    assert {path.name: path.read_bytes() for path in first.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()
    }


def test_the_same_exports_give_the_same_bytes(run: Run, tmp_path: Path) -> None:
    first = snapshot(run, tmp_path, varied())
    assert run("collect", "--inventory", "snap-export.json", "-o", "again", "--as-of", NOW)[0] == 0
    assert len(list(first.iterdir())) > 10
    for path in first.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_a_snapshot_from_before_there_was_a_table_lacks_its_facts_and_says_so(run: Run, tmp_path: Path) -> None:
    folder = snapshot(run, tmp_path, varied())
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    for name in ("vault_configs", "backup_jobs"):
        del manifest["tables"][name]
        (folder / f"{name}.parquet").unlink()
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    assert run("audit", "--inventory", "snap", *FLAGS, "-o", "r.json")[0] == 0
    gaps = report(tmp_path / "r.json")["gaps"]
    assert [gap["kind"] for gap in gaps if gap["table"] == "backup_jobs"] == ["not-exported"]
    write(tmp_path / "more.json", estate().vm("far"))
    assert run("audit", "--inventory", "snap", "--inventory", "more.json", *FLAGS)[0] == 0


def test_several_snapshots_are_one_estate_and_each_verdict_says_where_it_was_read(run: Run, tmp_path: Path) -> None:
    far = vault_id("v", subscription=OTHER_SUBSCRIPTION)
    snapshot(run, tmp_path, estate().vm("web"), "west")
    elsewhere = estate().vault("v", id=far).policy("p", id=policy_id("p", far))
    snapshot(run, tmp_path, elsewhere.item("web", id=item_id("web", vault=far), policyId=policy_id("p", far)), "east")
    arguments = ("audit", "--inventory", "west", "--inventory", "east", *FLAGS, "--select", "vm-protected")
    assert run(*arguments, "-o", "r.json")[0] == 0
    found = report(tmp_path / "r.json")
    assert found["outcomes"] == {"vm-protected": "p"}
    assert [entry["source"] for entry in found["resources"]] == ["west: west-export.json"]
    # The item protects for sure; what else may protect VMs of the western subscription was not in its snapshot.
    assert [gap["scope"] for gap in found["gaps"] if gap["table"] == "protected_items"] == [SUBSCRIPTION]
    assert not any(gap["table"] == "virtual_machines" and not gap["scope"] for gap in found["gaps"])
    code, said = run("explain", "web", "--inventory", "west", "--inventory", "east", "--primary-endpoint", "azure")
    assert code == 0
    assert "east: east-export.json" in said
    assert "west: west-export.json" in said


def test_items_that_one_snapshot_lacks_are_not_taken_for_absent_because_another_has_its_own(
    run: Run, tmp_path: Path
) -> None:
    snapshot(run, tmp_path, estate().vault().policy().vm("web"), "forgotten")
    far = vault_id("v", subscription=OTHER_SUBSCRIPTION)
    whole = estate().vault("v", id=far).policy("p", id=policy_id("p", far))
    whole.vm("lone", id=vm_id("lone", subscription=OTHER_SUBSCRIPTION))
    here = vm_id("far", subscription=OTHER_SUBSCRIPTION)
    whole.vm("far", id=here)
    whole.item("far", id=item_id("far", vault=far), policyId=policy_id("p", far), sourceResourceId=here)
    snapshot(run, tmp_path, whole, "whole")
    arguments = ("audit", "--inventory", "forgotten", "--inventory", "whole", *FLAGS, "--select", "vm-protected")
    assert run(*arguments, "-o", "r.json")[0] == 0
    found = report(tmp_path / "r.json")
    names = [entry["name"] for entry in found["resources"]]
    assert dict(zip(names, found["outcomes"]["vm-protected"], strict=True)) == {"web": "u", "far": "p", "lone": "f"}
    # Exports are a supplement: what they do not hold is not asked of them.
    write(tmp_path / "more.json", whole)
    assert run("audit", "--inventory", "whole", "--inventory", "more.json", *FLAGS, "-o", "s.json")[0] == 0


def test_what_two_snapshots_say_differently_is_not_known(run: Run, tmp_path: Path) -> None:
    base = estate().vault().policy().vm("web")
    snapshot(run, tmp_path, base, "a")
    EstateBuilder(base.resources).item("web")
    snapshot(run, tmp_path, estate().vault().policy().vm("web").item("web"), "b", "2026-06-15T13:00:00Z")
    snapshot(run, tmp_path, estate().item("web", state="ProtectionStopped"), "c", "2026-06-15T13:00:00Z")
    arguments = ["audit", *FLAGS, "--select", "vm-protected", "-o", "r.json"]
    for name in ("a", "b", "c"):
        arguments += ["--inventory", name]
    assert run(*arguments)[0] == 0
    found = report(tmp_path / "r.json")
    assert found["outcomes"] == {"vm-protected": "u"}
    assert "read twice and different" in found["findings"][0]["message"]
    assert found["as_of"] == "2026-06-15T13:00:00Z"
    assert any("ages are counted back from the last" in notice for notice in found["coverage"]["notices"])


def test_exports_beside_a_snapshot_leave_the_time_unknown(run: Run, tmp_path: Path) -> None:
    snapshot(run, tmp_path, estate().vm("web"))
    write(tmp_path / "more.json", estate().vm("db"))
    assert run("audit", "--inventory", "snap", "--inventory", "more.json", *FLAGS, "-o", "r.json")[0] == 0
    found = report(tmp_path / "r.json")
    assert found["as_of"] is None
    assert [resource["name"] for resource in found["resources"] if resource["kind"] == "vm"] == ["db", "web"]


def edited(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (folder / MANIFEST).write_text(json.dumps(manifest | changes), encoding="utf-8")


def test_a_damaged_snapshot_is_refused(run: Run, tmp_path: Path) -> None:
    folder = snapshot(run, tmp_path, varied())
    path = folder / "virtual_machines.parquet"
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole + b"x", whole[:50] + b"\x00" + whole[51:], b""):
        path.write_bytes(damaged)
        code, said = run("audit", "--inventory", "snap", *FLAGS)
        assert code == 2
        assert "virtual_machines.parquet is not the file that was written" in said
    path.unlink()
    assert run("audit", "--inventory", "snap", *FLAGS)[0] == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "of format 2; this version reads up to 1"),
        ({"format": 2, "tables": 5, "new": True}, "of format 2"),
        ({"format": 0}, "no usable snapshot"),
        ({"format": "1"}, "no usable snapshot"),
        ({"collected_at": "yesterday"}, "collected_at is not a time"),
        ({"tables": {}}, "names no table virtual_machines"),
        ({"surprise": 1}, "no usable snapshot"),
    ],
)
def test_a_manifest_that_is_not_understood_is_refused(changes: Json, said: str, run: Run, tmp_path: Path) -> None:
    edited(snapshot(run, tmp_path, estate().vm("web")), **changes)
    code, found = run("audit", "--inventory", "snap", *FLAGS)
    assert code == 2
    assert said in found


def test_a_manifest_never_leads_out_of_its_folder(run: Run, tmp_path: Path) -> None:
    folder = snapshot(run, tmp_path, estate().vm("web"))
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    (tmp_path / "vaults.parquet").write_bytes((folder / "vaults.parquet").read_bytes())
    manifest["tables"]["vaults"]["file"] = "../vaults.parquet"
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    assert run("audit", "--inventory", "snap", *FLAGS)[0] == 2


def test_a_half_written_snapshot_is_refused(run: Run, tmp_path: Path) -> None:
    folder = snapshot(run, tmp_path, estate().vm("web"))
    (folder / MANIFEST).unlink()
    code, said = run("audit", "--inventory", "snap", *FLAGS)
    assert code == 2
    assert "it was not written to its end" in said
    (folder / MANIFEST).write_text('{"format": 1, "tool"', encoding="utf-8")
    assert run("audit", "--inventory", "snap", *FLAGS)[0] == 2


def test_nothing_is_overwritten_and_nothing_is_left_of_a_failure(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.json", estate().vm("web"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("x", encoding="utf-8")
    for target in ("mine", "a.json"):
        code, said = run("collect", "--inventory", "a.json", "-o", target)
        assert (code, "is there already" in said) == (2, True)
    before = sorted(tmp_path.iterdir())

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("auditor.inventory.snapshot._write_synced", fail)
    code, said = run("collect", "--inventory", "a.json", "-o", "new")
    assert (code, "No space left" in said) == (2, True)
    assert sorted(tmp_path.iterdir()) == before


def test_what_an_older_version_did_not_read_is_not_known(run: Run, tmp_path: Path) -> None:
    """Neither absent nor false: a column that is absent as `none` or `never` must not get that meaning."""
    folder = snapshot(run, tmp_path, estate().vault().vm("web"))
    path, held = folder / "virtual_machines.parquet", "created"
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t AS SELECT * EXCLUDE ({held}) FROM read_parquet('{path}')")
        connection.execute(f"COPY t TO '{path}' (FORMAT parquet)")
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    import hashlib  # noqa: PLC0415 -- only here

    manifest["tables"]["virtual_machines"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest["tables"]["virtual_machines"]["columns"].remove(held)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    code, said = run(
        "explain", "web", "--inventory", "snap", "--primary-endpoint", "azure", "--complete", "protected_items"
    )
    assert code == 0
    assert "created                      (not known)" in said
    opened = open_snapshot(folder)
    assert "did not read virtual_machines.created" in opened.notices[0]


def test_a_folder_of_an_odd_name_is_a_folder(run: Run, tmp_path: Path) -> None:
    snapshot(run, tmp_path, varied(), "it's [a*] ?")
    assert run("audit", "--inventory", "it's [a*] ?", *FLAGS, "-o", "r.json")[0] == 0


def test_parquet_and_manifests_of_others_do_not_make_a_folder_a_snapshot(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "exports" / "a.json", varied())
    (tmp_path / "exports" / "manifest.json").write_text('{"anything": 1}', encoding="utf-8")
    for _ in range(2):  # the second time there is a Parquet file of our own among the exports
        assert run("audit", "--inventory", "exports", *FLAGS, "-o", "exports/verdicts.parquet")[0] == 0


def test_nothing_is_written_where_the_baseline_is_of_another_estate(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "far.json", estate().vm("far", id=vm_id("far", subscription=OTHER_SUBSCRIPTION)))
    assert run("audit", "--inventory", "far.json", *FLAGS, "-o", "far-report.json")[0] == 0
    write(tmp_path / "near.json", estate().vm("near"))
    arguments = ("audit", "--inventory", "near.json", *FLAGS, "--baseline", "far-report.json", "-o", "v.parquet")
    assert run(*arguments)[0] == 2
    assert not (tmp_path / "v.parquet").exists()


def test_the_name_of_a_tag_of_objectives_may_have_braces(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "a.json", estate().vm("web", tags={"t{0}{x}": "odd"}))
    (tmp_path / "auditor.yaml").write_text('rpo: {tag: "t{0}{x}", hours: {gold: 4}}\n', encoding="utf-8")
    code, said = run("audit", "--inventory", "a.json", *FLAGS, "--select", "backup-within-rpo")
    assert (code, "internal error" in said) == (0, False)


def test_collect_asks_for_the_name_of_an_inventory(run: Run, tmp_path: Path) -> None:
    code, said = run("collect", "-o", "new", "--inventory", "")
    assert (code, "what is given to --inventory is empty" in said) == (2, True)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="no usable snapshot"):
        open_snapshot(Path("nowhere"))


def test_the_matrix_says_what_the_report_says(run: Run, tmp_path: Path) -> None:
    snapshot(run, tmp_path, varied())
    for name in ("m.parquet", "n.parquet"):
        assert run("audit", "--inventory", "snap", *FLAGS, "-o", name)[0] == 0
    assert run("audit", "--inventory", "snap", *FLAGS, "-o", "r.json", "-o", "o.parquet")[0] == 0
    assert (tmp_path / "m.parquet").read_bytes() == (tmp_path / "n.parquet").read_bytes()
    found = report(tmp_path / "r.json")
    kinds = {rule["id"]: rule["resource"] for rule in found["rules"]}
    with duckdb.connect() as connection:
        for name in ("m.parquet", "o.parquet"):
            cursor = connection.execute(f"SELECT * FROM read_parquet('{tmp_path / name}')")
            columns = [column[0] for column in cursor.description or ()]
            rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
            assert sorted(row["resource_id"] for row in rows) == sorted(entry["id"] for entry in found["resources"])
            for rule, letters in found["outcomes"].items():
                judged = [entry["id"] for entry in found["resources"] if entry["kind"] == kinds[rule]]
                told = {row["resource_id"]: row[rule] for row in rows if row["kind"] == kinds[rule]}
                assert told == {key: OUTCOMES[letter] for key, letter in zip(judged, letters, strict=True)}
                assert all(row[rule] is None for row in rows if row["kind"] != kinds[rule])


def test_a_summary_without_findings_has_the_same_numbers(run: Run, tmp_path: Path) -> None:
    snapshot(run, tmp_path, varied())
    _, brief = run("audit", "--inventory", "snap", *FLAGS, "-o", "m.parquet")
    _, whole = run("audit", "--inventory", "snap", *FLAGS)
    counts = [line for line in whole.splitlines() if line.endswith(tuple("0123456789")) and "  " in line]
    assert len(counts) > 3
    assert all(line in brief.splitlines() for line in counts)


def test_the_manifest_is_json_that_says_what_is_whole(run: Run, tmp_path: Path) -> None:
    folder = snapshot(run, tmp_path, estate().vm("web"))
    manifest = msgspec.json.decode((folder / MANIFEST).read_bytes())
    assert manifest["collected_at"] == NOW
    states = {entry["table"]: entry["state"] for entry in manifest["coverage"]}
    assert (states["virtual_machines"], states["vaults"]) == ("complete", "partial")
    assert manifest["tables"]["virtual_machines"]["rows"] == 1
