"""What is generated is current, and every field that is promised is there."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from auditor.assessment.sql import Context, compile_condition
from auditor.declared.config import NO_DOCUMENT, Intents
from auditor.declared.intents import IntentMap
from auditor.estate.database import Estate, open_estate
from auditor.estate.fields import FIELDS, FROM, SEES, SUBJECTS, TABLE_OF, Field, Subject, TagName
from auditor.inventory.facts import Connection
from auditor.inventory.model import Inventory
from auditor.inventory.tables import DETAILS, TABLES
from auditor.reference import SCHEMAS, pages
from auditor.reference.__main__ import main
from auditor.ruleset.load import bundled_files, load_rules
from auditor.ruleset.model import Age, Compare, Constant, FieldRef
from auditor.ruleset.words import TAKES, WHOLE_WORDS

DOCS = Path(__file__).parent.parent / "docs"
PAGES = pages()
COLUMNS = [entry for entry in FIELDS.values() if entry.type != "relation"]


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name], "run: make docs"


def test_no_generated_page_is_left_over() -> None:
    assert {f"rules/{path.name}" for path in (DOCS / "rules").iterdir()} == {n for n in PAGES if n.startswith("rules/")}
    assert {f"schemas/{path.name}" for path in (DOCS / "schemas").iterdir()} == {
        f"schemas/{n}.schema.json" for n in SCHEMAS
    }
    assert main([str(DOCS), "--check"]) == 0


def test_pages_are_written_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--check"]) == 1
    assert not list(tmp_path.iterdir())
    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--check"]) == 0
    capsys.readouterr()
    (tmp_path / "fields.md").write_text("old", encoding="utf-8")
    (tmp_path / "rules" / "gone.md").write_text("old", encoding="utf-8")
    assert main([str(tmp_path), "--check"]) == 1
    said = capsys.readouterr().out
    assert said.splitlines() == [
        f"out of date: {tmp_path / 'fields.md'}",
        f"no longer wanted: {tmp_path / 'rules' / 'gone.md'}",
    ]
    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--check"]) == 0


@pytest.mark.parametrize("entry", [entry for entry in FIELDS.values() if not entry.note], ids=lambda entry: entry.name)
def test_a_field_stands_on_the_page_of_fields_with_its_words(entry: Field) -> None:
    lines = [line for line in PAGES["fields.md"].splitlines() if line.startswith(f"| `{entry.name}` ")]
    if entry.type != "relation":
        assert len(lines) == 1
        assert all(f"`{word}`" in lines[0] for word in entry.words)


def test_every_bundled_rule_has_a_page() -> None:
    for rule in load_rules(bundled_files()):
        page = PAGES[f"rules/{rule.id}.md"]
        assert page.startswith(f"# {rule.id}\n")
        for part in (rule.title, rule.rationale, *rule.parameters, *rule.references):
            assert part in page


def test_pages_are_the_same_each_time() -> None:
    assert pages() == PAGES
    assert all(json.loads(text) for name, text in PAGES.items() if name.endswith(".json"))


# The fields in an estate of which nothing is known


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    nothing: Mapping[str, Path] = {}
    inventory = Inventory(nothing, 0, {}, (), (), (), {}, ())
    intents = IntentMap(Intents(), NO_DOCUMENT, None)
    tags = [TagName(relation, "it's") for relation in SEES["vm"]]
    estate = open_estate(inventory, tmp_path_factory.mktemp("estate"), intents, tags)
    yield estate
    estate.connection.close()


def views_of(relation: str) -> list[str]:
    return ["item_told", "vm_item_told"] if relation == "item" else [relation]


def types_of(connection: Connection, view: str) -> dict[str, str]:
    return {name: str(kind) for name, kind, *_ in connection.execute(f"DESCRIBE {view}").fetchall()}


@pytest.mark.parametrize("entry", COLUMNS, ids=lambda entry: entry.name)
def test_a_field_is_a_column_of_its_view_with_all_that_belongs_to_it(empty: Estate, entry: Field) -> None:
    kinds = {
        "text": ("VARCHAR",),
        "id": ("VARCHAR",),
        "number": ("DOUBLE",),
        "boolean": ("BOOLEAN",),
        "time": ("BIGINT",),
        "bounded": ("INTEGER", "BIGINT", "DOUBLE"),
    }[entry.type]
    wanted = [f"{entry.column}_min", f"{entry.column}_max"] if entry.type == "bounded" else [entry.column]
    for view in views_of(entry.relation):
        types = types_of(empty.connection, view)
        for column in wanted:
            assert types[column] in kinds
        for beside in (entry.reason, entry.source):
            assert not beside or types[beside] == "VARCHAR"
        assert not entry.open or types[entry.open] == "BOOLEAN"
        folded = entry.type in ("text", "id") and not entry.words and not entry.note
        if folded and entry.column not in ("id", "subscription_id"):
            assert types[f"{entry.column}_key"] == "VARCHAR"


@pytest.mark.parametrize("relation", SEES["vm"])
def test_a_relation_has_what_every_rule_and_its_evidence_need(empty: Estate, relation: str) -> None:
    tag = TagName(relation, "it's").column
    for view in views_of(relation):
        types = types_of(empty.connection, view)
        assert {types[column] for column in ("key", "id", "name", "source", tag, f"{tag}_key")} == {"VARCHAR"}
        assert types["bad"] == "VARCHAR[]"
        assert types["tags_read"] == types[f"{tag}_here"] == "BOOLEAN"


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_subject_can_be_joined_with_what_it_sees(empty: Estate, subject: Subject) -> None:
    columns = ", ".join(f"{relation}.key" for relation in SEES[subject])
    assert empty.query(f"SELECT {columns} FROM {FROM[subject]}") == []


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_comparison_that_a_rule_may_make_can_be_made_in_a_real_estate(empty: Estate, subject: Subject) -> None:
    seen = [entry for entry in FIELDS.values() if entry.relation in SEES[subject] and not entry.note]
    conditions = [condition for entry in seen for condition in comparisons_with(entry)]
    for whole in (frozenset(TABLE_OF.values()), frozenset[str]()):
        parts = [compile_condition(condition, Context(subject, 0, whole)) for condition in conditions]
        values = [value for part in parts for value in part.values]
        assert empty.query(f"SELECT {', '.join(part.text for part in parts)} FROM {FROM[subject]}", values) == []


def comparisons_with(entry: Field) -> list[Compare]:
    """Return a comparison for every word that the field's type allows."""
    literals: dict[str, Constant] = {"number": Constant(5), "bounded": Constant(5), "boolean": Constant(value=True)}
    literal = literals.get(entry.type, Constant(entry.words[0] if entry.words else "2026-01-31T06:00:00Z"))
    field = FieldRef(entry.name)
    if entry.type == "relation":
        return [Compare(field, "exists", Constant(value=True))]
    found = [Compare(field, "exists", Constant(value=False))] if entry.absent == "none" else []
    for word, kinds in TAKES.items():
        if entry.type in kinds and (not entry.words or word in WHOLE_WORDS):
            found.append(Compare(field, word, Constant([literal.value]) if word == "in" else literal))  # type: ignore[list-item]  # one literal
            if entry.type != "bounded" and word not in ("in", "like"):
                found.append(Compare(field, word, field))
    if entry.type == "time":
        found.append(Compare(field, "less", Age(Constant(1), 24)))
    return found


def test_fields_rest_on_facts_and_tables_that_there_are() -> None:
    columns = {table.name: {column.name for column in table.columns} for table in TABLES}
    for entry in FIELDS.values():
        assert set(entry.tables) <= {*columns, *DETAILS}, entry.name
        if entry.type != "relation":
            assert set(entry.facts) <= columns[TABLE_OF[entry.relation]], entry.name
        assert not (entry.words and entry.type != "text"), entry.name
        assert entry.doc, entry.name
