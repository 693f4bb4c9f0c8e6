"""A plan as it is reviewed: what both pages say, that any plan is inert in them, and that large ones stay small."""

import base64
import hashlib
import html
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from auditor.declared.config import Remediation
from auditor.formats.plan_as import write_plan
from auditor.formats.plan_as_html import as_html
from auditor.formats.plan_as_markdown import MOST_BYTES, as_markdown
from auditor.formats.plan_reading import Limits, ranges, read_plan
from auditor.reference.schemas import plan_schema
from auditor.remediation.model import (
    ONE_WAY,
    Answer,
    CreatedFrom,
    Plan,
    PlanOptions,
    Precondition,
    Projected,
    Projection,
    Request,
    Step,
    decode_plan,
    signed,
)
from auditor.text import visible

REPOSITORY = Path(__file__).resolve().parent.parent
AUDITOR = str(Path(sys.executable).parent / "auditor")
PAGE = REPOSITORY / "docs" / "remediation.md"
EXAMPLE = "auditor plan --inventory examples/estate --config examples/auditor.yaml --as-of 2026-11-02T06:00:00Z"
EVERYTHING = ["--trigger-backup", "--edit-policies", "--allow-reduce", *(f"--allow-one-way={word}" for word in ONE_WAY)]
PARSER = MarkdownIt("gfm-like", {"linkify": False})
INERT = {
    "heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline", "text", "code_inline", "fence",
    "strong_open", "strong_close", "softbreak", "bullet_list_open", "bullet_list_close", "list_item_open",
    "list_item_close", "ordered_list_open", "ordered_list_close", "table_open", "table_close", "thead_open",
    "thead_close", "tbody_open", "tbody_close", "tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close",
}  # fmt: skip
SAID = ("text", "code_inline", "fence")
HOSTILE = (
    "\x00", "\x1b[2J", "\x1b]8;;https://evil.example\x1b\\x", "\r", "\n", "\n# x", "\n```\n<b>", "```", "````", "`",
    "|",
    "\u202e", "\u200b", "\u2028", "\ufeff", "\U000e0041", "</style><script>x</script>", "</code></pre>", "<!--", "&lt;",
    "'\"><img src=x onerror=alert(1)>", "{{ 7*7 }}", "{% raw %}", "[x](javascript:alert(1))", "@everyone", "{VM}",
    "{item}", "www.evil.example", "x" * 5_000,
)  # fmt: skip
TEXT = st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=5)), max_size=3).map("".join)
VAULT = "/subscriptions/s/resourceGroups/rg-b/providers/Microsoft.RecoveryServices/vaults/rsv"
VMS = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines"
POLICY = f"{VAULT}/backupPolicies/daily"
VOID = {"meta", "br", "path", "circle"}


def example(folder: Path, *flags: str) -> Plan:
    path = folder / "plan.json"
    words = [AUDITOR, *shlex.split(EXAMPLE)[1:], *flags, "-o", str(path)]
    subprocess.run(words, cwd=REPOSITORY, capture_output=True, check=True)
    return decode_plan(path.read_bytes(), "plan.json")


@pytest.fixture(scope="module")
def cautious(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return example(tmp_path_factory.mktemp("cautious"))


@pytest.fixture(scope="module")
def bold(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return example(tmp_path_factory.mktemp("bold"), *EVERYTHING)


def item_of(name: str) -> str:
    container = f"iaasvmcontainerv2;rg;{name}"
    return f"{VAULT}/backupFabrics/Azure/protectionContainers/IaasVMContainer;{container}/protectedItems/VM;{container}"


def protect(name: str, **changes: Any) -> Step:
    item, vm = item_of(name), f"{VMS}/{name}"
    properties = {"protectedItemType": "Microsoft.Compute/virtualMachines", "sourceResourceId": vm, "policyId": POLICY}
    step = Step(
        id=f"EnableProtection-{name}",
        kind="EnableProtection",
        target=item,
        title=f"Protect {name} in rsv by daily",
        answers=[Answer(rule="vm-protected", resource=vm)],
        request=Request(method="PUT", path=item, api_version="2025-02-01", body={"properties": properties}),
        preconditions=[Precondition(path=item, api_version="2025-02-01", equals=None)],
        after={"sourceResourceId": vm, "policyId": POLICY, "protectionState": "IRPending"},
        permission="Backup Contributor on the vault, and Microsoft.Compute/virtualMachines/write on the VM",
        reversibility="stop protection and keep the data",
        cost="a fee for each VM",
    )
    return msgspec.structs.replace(step, **changes)


def guard(name: str, state: str = "Locked") -> Step:
    vault = VAULT.replace("vaults/rsv", f"vaults/{name}")
    properties = {"securitySettings": {"immutabilitySettings": {"state": state}}}
    return Step(
        id=f"SetVaultProtection-{name}",
        kind="SetVaultProtection",
        target=vault,
        title=f"Make {name} immutable",
        request=Request(method="PATCH", path=vault, api_version="2025-02-01", body={"properties": properties}),
        before={"immutability": None},
        after=properties,
        reversibility="never: Azure does not take it back" if state == "Locked" else "switch it off again",
    )


def plan_of(*steps: Step, **changes: Any) -> Plan:
    nothing = Projection(failing=0, unknown=0, turned=len(steps), still_failing=[], newly_failing=[])
    plan = Plan(
        schema_version="1.0",
        digest="",
        tenant="11111111-1111-1111-1111-111111111111",
        cloud="AzureCloud",
        created_from=CreatedFrom(
            tool="auditor 1", run_id="0" * 64, as_of="2026-01-01T00:00:00Z", inventory_sha256="1" * 64,
            failing=len(steps), unknown=0,
        ),
        options=PlanOptions(),
        steps=list(steps),
        projected=Projected(after_apply=nothing, after_first_backup=nothing),
    )  # fmt: skip
    return signed(msgspec.structs.replace(plan, **changes))


class Reader(HTMLParser):
    """Reads a page: what it says, and whether every element ends where it should."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        self.texts.append(" ")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


def read(page: bytes) -> Reader:
    """Parse a page, which is whole, asks for nothing and runs nothing."""
    reader = Reader()
    reader.feed(page.decode())
    reader.close()
    assert reader.open == []
    assert {tag for tag, _ in reader.seen}.isdisjoint({"script", "img", "iframe", "link", "object", "form", "base"})
    for _, attributes in reader.seen:
        assert not [name for name in attributes if name.startswith("on") or name in ("style", "src", "srcset")]
        assert attributes.get("href", "#").startswith("#")  # type: ignore[union-attr]  # no href is without a value
    ids = [attributes["id"] for _, attributes in reader.seen if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(attributes["href"])[1:] for _, attributes in reader.seen if "href" in attributes} <= set(ids)
    return reader


def shown_in(page: bytes) -> str:
    """Return the text of a page in Markdown, of which nothing is anything but text."""
    tokens = [part for token in PARSER.parse(page.decode()) for part in (token, *(token.children or ()))]
    assert {token.type for token in tokens} <= INERT
    outside = " ".join(token.content for token in tokens if token.type == "text")
    assert not re.search(r"[@#<>\[\]`]|://|www\.", outside)
    said = "".join(token.content if token.type in SAID else " " for token in tokens)
    return " ".join(said.split())


def view(page: bytes) -> str:
    return read(page).text if page.startswith(b"<!DOCTYPE") else shown_in(page)


VIEWS: list[Callable[[Plan], bytes]] = [as_html, as_markdown]


@pytest.mark.parametrize("make", VIEWS)
@pytest.mark.parametrize("which", ["cautious", "bold"])
def test_all_that_matters_of_the_examples_plan_is_there(
    make: Callable[[Plan], bytes], which: str, request: pytest.FixtureRequest
) -> None:
    plan: Plan = request.getfixturevalue(which)
    text = view(make(plan))
    assert plan.digest in text
    assert plan.created_from.run_id in text
    assert plan.created_from.as_of in text
    assert "not named: the plan was made from exports" in text
    for step in plan.steps:
        for said in (*step.risks, *step.notes, *step.recipe, step.cost, step.reversibility, *step.affects):
            assert said.lower() in text.lower()
        assert all(f"{answer.rule} on" in text for answer in step.answers)
        assert all(answer.resource in text for answer in step.answers)
    for group in read_plan(plan).groups:
        assert group.heading in text
        for step in group.steps:
            assert step.target in text or len(group.steps) > 1
            assert group.request is not None
            assert f"{group.request.method} {group.request.path}?api-version=" in text
    for notice in plan.notices:
        assert notice in text
    assert "none would fail anew" in text
    assert ("for nobody allowed it" in text) == (which == "cautious")
    assert ("--edit-policies" in text) == (which == "bold")


def test_the_example_is_told_in_groups_that_name_everybody(cautious: Plan) -> None:
    groups = {group.heading: group for group in read_plan(cautious).groups}
    together = groups["Protect 2 VMs in rsv-prod-weu-01 by pol-vm-4h-12h"]
    assert together.numbers == [15, 16]
    assert together.request is not None
    assert together.request.path == "{item}"
    assert together.request.body is not None
    assert together.request.body["properties"]["sourceResourceId"] == "{VM}"
    assert groups["Make 3 vaults immutable (Unlocked: it can be switched off again)"].risky
    numbers = sorted(number for group in groups.values() for number in group.numbers)
    assert numbers == list(range(1, len(cautious.automatic) + 1))
    text = read(as_html(cautious)).text
    for step in together.steps:
        assert step.target in text


@pytest.mark.parametrize("make", VIEWS)
def test_what_would_not_pass_and_what_is_one_way_or_weaker_cannot_be_missed(make: Callable[[Plan], bytes]) -> None:
    still = Projection(
        failing=3, unknown=1, turned=0,
        still_failing=[Answer(rule="vm-protected", resource=f"{VMS}/stays")],
        newly_failing=[Answer(rule="vault-soft-delete", resource=f"{VMS}/breaks")],
    )  # fmt: skip
    steps = [protect("web", risks=["weaker: 1 backup instead of 2"]), guard("a"), guard("b"), guard("c", "Unlocked")]
    plan = plan_of(*steps, projected=Projected(after_apply=still, after_first_backup=still))
    page = make(plan)
    text = view(page)
    assert "none would fail anew" not in text
    places = [text.lower().index(words) for words in ("would still fail, though", "would fail because", "what happens")]
    assert places == sorted(places)
    assert text.index("stays") < places[1] < text.index("breaks") < places[2]
    twice = text.index("Look twice", 300)
    assert text.index("Make 2 vaults immutable", twice) < text.index("Protect web in rsv", twice)
    assert text.lower().count("one way") >= 2
    assert "weaker: 1 backup instead of 2" in text[twice:].lower()
    assert "never: Azure does not take it back" in text
    assert "nothing that the plan names" in text


@pytest.mark.parametrize("make", VIEWS)
def test_a_step_says_what_is_before_and_after_it(make: Callable[[Plan], bytes]) -> None:
    steps = [protect("a"), protect("b", depends_on=["EnableProtection-a", "gone"]), guard("x")]
    text = view(make(plan_of(*steps)))
    assert "a step that is not in the plan : gone" in text.replace("plan:", "plan :")
    alone = view(make(plan_of(protect("a"), protect("b", depends_on=["EnableProtection-a"], cost="more"))))
    assert re.search(r"Before:? 2", alone)
    assert re.search(r"After:? 1", alone)


@pytest.mark.parametrize("evil", ["</style><script>x</script>", '" } * { display: none; } "', "\u202e"])
def test_the_page_allows_no_style_but_its_own_and_a_digest_is_none_of_it(evil: str) -> None:
    for plan in (plan_of(), msgspec.structs.replace(plan_of(), digest=evil)):
        page = as_html(plan).decode()
        (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
        (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        allowed = dict(part.split(" ", 1) for part in html.unescape(policy).split("; "))
        assert allowed["default-src"] == allowed["base-uri"] == allowed["form-action"] == "'none'"
        assert allowed["style-src"] == f"'sha256-{digest}'"
        assert "script-src" not in allowed
        assert ("without a digest" in style) == (plan.digest == evil)
        assert (f"Plan for Azure VM backup, {plan.digest}" in style) == (plan.digest != evil)
        assert evil not in style
        assert "<" not in style


@pytest.mark.parametrize("make", VIEWS)
def test_an_empty_plan_has_a_page(make: Callable[[Plan], bytes]) -> None:
    text = view(make(plan_of()))
    assert "Nothing to do: 0 verdicts fail." in text
    assert "Nothing is left to people." in text


def spoilt(value: Any, evil: str) -> Any:
    """Put a hostile text into every text, and every name, that is not one of a closed set."""
    if isinstance(value, dict):
        closed = {"kind", "method", "schema_version"}
        return {name: part if name in closed else spoilt(part, evil) for name, part in value.items()}
    if isinstance(value, list):
        return [spoilt(part, evil) for part in value]
    return f"{value}{evil}" if isinstance(value, str) else value


@settings(max_examples=examples(15), deadline=None)
@given(evil=TEXT, name=TEXT)
def test_any_plan_is_inert(bold: Plan, evil: str, name: str) -> None:
    forged = msgspec.convert(spoilt(msgspec.to_builtins(bold), evil), Plan)
    forged = msgspec.structs.replace(
        forged,
        steps=[*forged.steps, protect(name, before={evil: {evil: evil}}, after={evil: [evil]}), protect(f"{name}2")],
    )
    for make in VIEWS:
        page = make(forged)
        text = view(page)
        assert not {char for char in page.decode() if visible(char) != char} - {"\n"}
        assert f"{len(forged.automatic)} step" in text
        assert make(forged) == page


@settings(max_examples=examples(25), deadline=None)
@given(names=st.lists(TEXT, min_size=2, max_size=4), evil=TEXT)
def test_steps_are_told_together_only_where_nothing_gets_lost(names: list[str], evil: str) -> None:
    steps = [protect(name) for name in names] + [protect(f"{evil}x", notes=[evil]), protect(f"{evil}y", cost=evil)]
    for group in read_plan(plan_of(*steps)).groups:
        assert len(group.numbers) == len(group.steps)
        if len(group.steps) > 1:
            for step in group.steps:
                assert msgspec.structs.replace(step, answers=[], id="", target="", title="", request=None,
                    preconditions=[], after=None) == msgspec.structs.replace(group.first, answers=[], id="", target="",
                    title="", request=None, preconditions=[], after=None)  # fmt: skip
                body = json.dumps(group.request and group.request.body)
                vm = step.answers[0].resource
                assert step.request is not None
                assert json.loads(body.replace("{VM}", json.dumps(vm)[1:-1])) == step.request.body


def test_a_name_in_braces_that_was_there_before_is_not_taken_for_ours() -> None:
    said, meant = protect("a"), protect("b")
    for step, policy in ((said, "{VM}"), (meant, f"{VMS}/b")):
        assert step.request is not None
        assert step.request.body is not None
        step.request.body["properties"]["policyId"] = policy
        assert step.after is not None
        step.after["policyId"] = policy
    groups = read_plan(plan_of(said, meant)).groups
    assert [group.heading for group in groups] == [said.title, meant.title]


def test_names_that_begin_as_titles_do_are_told_apart() -> None:
    steps = [protect(name) for name in ("P", "in", "by", "Protect ", "rsv")]
    (group,) = read_plan(plan_of(*steps)).groups
    assert group.heading == "Protect 5 VMs in rsv by daily"
    two = read_plan(plan_of(protect("a"), protect("b", title="Delete everything"))).groups
    assert [group.heading for group in two] == ["Protect a in rsv by daily", "Delete everything"]


def test_a_plan_of_a_hundred_thousand_steps_stays_small_and_says_what_is_left_out() -> None:
    steps = [protect(f"vm-{number:06}") for number in range(100_000)]
    risky = [guard(f"v{number}", "Locked") for number in range(700)]
    manual = [
        Step(id=f"Manual-{n}", kind="Manual", target=VAULT, title=f"by hand {n}", recipe=["do it"],
             answers=[Answer(rule="r", resource=f"{VMS}/m{n}-{m}") for m in range(300)])
        for n in range(300)
    ]  # fmt: skip
    plan = msgspec.structs.replace(plan_of(), steps=[*steps, *risky, *manual])
    whole, markdown = as_html(plan), as_markdown(plan)
    assert len(whole) < 6_000_000
    assert len(markdown) <= MOST_BYTES
    page = read(whole).text
    for text in (page, shown_in(markdown)):
        assert "Protect 100,000 VMs in rsv by daily" in text
        assert "Make 700 vaults immutable" in text
        assert re.search(r"and 9\d,\d00 more such steps: plan\.json has them", text)
        assert re.search(r"and \d+ more", text)
        assert "100,700" in text
        assert "a fee for each VM" in text
    assert page.count("vm-000499") > page.count("vm-000500")


def test_steps_that_have_nothing_in_common_stay_few_and_those_at_risk_are_told() -> None:
    body = {"properties": {"n": ["x" * 90] * 400}}
    edits = [
        Step(id=f"DefinePolicy-{n}", kind="DefinePolicy", target=f"{POLICY}{n}", title=f"Edit policy {n}",
             request=Request(method="PUT", path=f"{POLICY}{n}", api_version="1", body=body),
             before={"n": n}, after={"n": n + 1}, affects=[item_of(f"a{m}") for m in range(1_000)],
             risks=["weaker: less"] if n > 1_950 else [])
        for n in range(2_000)
    ]  # fmt: skip
    plan = plan_of(*edits)
    whole, markdown = as_html(plan), as_markdown(plan)
    assert len(whole) < 12_000_000
    assert len(markdown) <= MOST_BYTES
    text = read(whole).text
    assert "Edit policy 1999 weaker Risk: weaker: less" in text
    assert "The other 1,801 are in plan.json, and are applied as well." in text
    assert "and 900 more: plan.json has them" in text
    assert "more lines: plan.json has them" in text
    assert re.search(r"Not told here: [\d,]+ of 2,000 steps", shown_in(markdown))


def test_a_page_in_markdown_is_shortened_until_it_fits(bold: Plan) -> None:
    whole = as_markdown(bold)
    assert b"Not told here" not in whole
    for most in (len(whole) - 1, 20_000):
        page = as_markdown(bold, most)
        assert len(page) < len(whole)
    assert b"Not told here" in as_markdown(bold, 20_000)


def test_numbers_are_written_as_ranges() -> None:
    assert ranges([]) == ""
    assert ranges([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert ranges([1, 3, 5, 6, 9], 2) == "1, 3 and 3 more"
    assert ranges([1_000, 1_001]) == "1,000-1,001"


def test_limits_count_each_step_once() -> None:
    reading = read_plan(plan_of(*(protect(f"{n}") for n in range(9)), guard("a"), guard("b")))
    assert reading.in_full(Limits(steps=5)) == {0: 5, 1: 2}
    assert reading.in_full(Limits(steps=10)) == {0: 9, 1: 2}
    assert reading.in_full(Limits(steps=0)) == {}


def test_equal_plans_are_equal_bytes(cautious: Plan, tmp_path: Path) -> None:
    again = example(tmp_path)
    assert [make(again) for make in VIEWS] == [make(cautious) for make in VIEWS]
    for suffix, make in ((".html", as_html), (".md", as_markdown)):
        with (tmp_path / f"x{suffix}").open("wb") as file:
            write_plan(cautious, suffix, file)
        assert (tmp_path / f"x{suffix}").read_bytes() == make(cautious)


def test_the_published_schema_accepts_plans_and_nothing_else(cautious: Plan, bold: Plan) -> None:
    schema = json.loads((REPOSITORY / "docs" / "schemas" / "plan.schema.json").read_text(encoding="utf-8"))
    assert schema == plan_schema()
    validator = jsonschema.Draft202012Validator(schema)
    for plan in (cautious, bold, plan_of()):
        validator.validate(json.loads(msgspec.json.encode(plan)))
    wrong = json.loads(msgspec.json.encode(bold))
    for change in ({"more": 1}, {"digest": 1}, {"steps": [{"kind": "Delete"}]}):
        assert not validator.is_valid({**wrong, **change})


# docs/remediation.md


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_page_shows_what_its_command_prints() -> None:
    (block,) = blocks("console")
    command, *shown = block.splitlines()
    words = shlex.split(command.removeprefix("$ "))
    result = subprocess.run([AUDITOR, *words[1:]], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    printed = result.stdout.splitlines()
    positions = [printed.index(line) for line in shown if line and line != "..."]
    assert positions == sorted(positions)
    assert len(positions) > 8


def test_the_page_names_every_option_and_word() -> None:
    text = PAGE.read_text(encoding="utf-8")
    said = subprocess.run([AUDITOR, "plan", "--help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"--[a-z][a-z-]*", said))
    for flag in ("--only", "--trigger-backup", "--edit-policies", "--allow-reduce", "--allow-one-way"):
        assert flag in known
        assert f"`{flag}" in text
    assert set(re.findall(r"`(--[a-z][a-z-]*)", text)) <= known | {"--help"}
    assert all(f"`{word}`" in text for word in ONE_WAY)
    assert len(text.splitlines()) < 140


def test_the_settings_on_the_page_are_all_that_there_are(tmp_path: Path) -> None:
    import yaml  # noqa: PLC0415 -- for this test alone

    (block,) = blocks("yaml")
    (tmp_path / "auditor.yaml").write_text(block, encoding="utf-8")
    from auditor.cli.question import Flags, settle  # noqa: PLC0415 -- for this test alone

    settings_of = settle(Flags(config=tmp_path / "auditor.yaml")).config.remediation
    said = yaml.safe_load(block)["remediation"]
    assert set(said) == set(Remediation.__struct_fields__)
    for part in ("vault", "policy"):
        assert set(said[part]) == set(getattr(settings_of, part).__struct_fields__)


def test_every_rule_that_a_step_answers_is_in_the_table(bold: Plan, cautious: Plan) -> None:
    (table,) = re.findall(r"^\| rule \|.*?(?=\n\n)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    answered = {answer.rule for plan in (bold, cautious) for step in plan.automatic for answer in step.answers}
    assert all(f"](rules/{rule}.md)" in table for rule in answered)
