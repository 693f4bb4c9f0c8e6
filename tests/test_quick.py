"""Ordinary answers are read quickly, everything else with care; what comes of both must be the same."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from building import estate
from hypothesis import example, given
from hypothesis import strategies as st
from test_decode import spoilt

from auditor.inventory import exports
from auditor.inventory.exports import read_exports
from auditor.inventory.model import Inventory
from auditor.inventory.quick import quick_answer

Json = dict[str, Any]
VM = estate().vm("web", tags={"Env": "Prod"}).resources[0]
FLAT = {key: value for key, value in {**VM, **VM["properties"]}.items() if key != "properties"}
FORMS: dict[str, Callable[[list[Json]], bytes]] = {
    "array": lambda resources: json.dumps(resources).encode(),
    "list": lambda resources: json.dumps({"value": resources}).encode(),
    "cut-list": lambda resources: json.dumps({"nextLink": "https://a/b?c", "value": resources}).encode(),
    "graph": lambda resources: json.dumps({"count": len(resources), "totalRecords": 99, "data": resources}).encode(),
    "lines": lambda resources: b"\n".join(json.dumps(resource).encode() for resource in resources),
    "utf-8": lambda resources: json.dumps(resources, ensure_ascii=False).encode("utf-8", "replace"),
}


def read(data: bytes, *, quickly: bool) -> tuple[Any, ...]:
    """Read a file; return what came of it, rows as they were spooled."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        folder = Path(name)
        if not quickly:
            patched.setattr(exports, "quick_answer", lambda _text: None)
        (folder / "in").mkdir()
        (folder / "in" / "a.ndjson").write_bytes(data) if data.count(b"\n") else (folder / "in" / "a.json").write_bytes(
            data
        )
        inventory = read_exports([folder / "in"], folder)
        return told(inventory)


def told(inventory: Inventory) -> tuple[Any, ...]:
    rows = {
        table: sorted((json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()), key=repr)
        for table, path in inventory.spool.items()
    }
    for found in rows.values():
        for row in found:
            row["bad"] = sorted(row.get("bad", []))
    return rows, inventory.rows, inventory.gaps, inventory.problems, inventory.ignored, inventory.sources


@pytest.mark.parametrize("form", FORMS)
def test_quick_and_careful_reading_come_to_the_same(form: str) -> None:
    @given(st.lists(spoilt(), min_size=1, max_size=6))
    @example([("virtual_machines", VM)])
    @example([("virtual_machines", VM | {"properties": None})])
    @example([("virtual_machines", {**VM, **VM["properties"], "storageProfile": None})])
    @example(
        [("virtual_machines", {key: value for key, value in {**VM, **VM["properties"]}.items() if key != "properties"})]
    )
    def holds(drawn: list[tuple[str, Json]]) -> None:
        data = FORMS[form]([resource for _, resource in drawn])
        assert read(data, quickly=True) == read(data, quickly=False)

    holds()


@pytest.mark.parametrize("form", FORMS)
def test_ordinary_answers_are_read_quickly(form: str) -> None:
    resources = estate().vm("web").vault().policy().item("web").job("web").resources
    for part in FORMS[form](resources).split(b"\n"):
        answer = quick_answer(part)
        assert answer is not None
        assert {table.name for table, _, _ in answer.resources if table is not None}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"5",
        b"[5]",
        b"[[]]",
        b'{"value": []}',
        b'{"value": [{}]}',
        b'{"value": null}',
        b'{"id": "/subscriptions/a"}',
        b'[{"id": "x", "type": "Microsoft.Compute/virtualMachines"}]',
        b'[{"id": 5, "type": "Microsoft.Compute/virtualMachines"}]',
        b'[{"id": "/subscriptions/a/b", "type": 5}]',
        b'{"value": [{"id": "/subscriptions/a/providers/b/c/d", "type": "b/c"}], "data": []}',
        b'[{"id": "/subscriptions/a/providers/Microsoft.Compute/virtualMachines/v", "type": "Microsoft.Com',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_whatever_is_not_clearly_ordinary_is_left_to_careful_reading(text: bytes) -> None:
    assert quick_answer(text) is None


def test_a_wrong_guess_at_the_kind_costs_nothing_but_time() -> None:
    nested = {**VM, "properties": {**VM["properties"], "x": {"type": "Microsoft.RecoveryServices/vaults"}}}
    data = json.dumps([{"properties": {"x": {"type": "microsoft.recoveryservices/vaults"}}, **nested}]).encode()
    assert read(data, quickly=True) == read(data, quickly=False)
    answer = quick_answer(data)
    assert answer is not None
    assert [table.name for table, _, _ in answer.resources if table is not None] == ["virtual_machines"]
