"""``auditor rules``: look at rules, check them, test them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from auditor.bundled import bundled
from auditor.errors import ExitCode, Fault, InputErrors, UsageError
from auditor.ruleset.load import RuleFile, bind, bundled_files, load_rules, own_files
from auditor.ruleset.model import Rule
from auditor.text import printable
from auditor.yaml_source import did_you_mean

app = typer.Typer(
    help="Look at rules, check them, test them.",
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

RulesOption = Annotated[list[Path], typer.Option("--rules", help="Your own rules: a file or folder.")]
PathsArgument = Annotated[
    list[Path] | None, typer.Argument(help="Rule files or folders; the bundled rules if left out.")
]


@app.callback()
def help_if_nothing_asked(context: typer.Context) -> None:
    """Look at rules, check them, test them."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(ExitCode.USAGE)


@app.command("list")
def list_rules(rules: RulesOption = []) -> None:
    """List the rules: id, severity, what they judge, profiles, title."""
    found = load_rules([*bundled_files(), *own_files(rules)])
    width = max(len(rule.id) for rule in found)
    for rule in found:
        own = "  (yours)" if rule.own else ""
        profiles = "+".join(rule.profiles)
        line = f"{rule.id:<{width}}  {rule.severity:<8}  {rule.resource:<6}  {profiles:<17}  {rule.title}{own}"
        typer.echo(printable(line))


@app.command("show")
def show_rule(
    rule_id: Annotated[str, typer.Argument(metavar="ID", help="The rule.")],
    rules: RulesOption = [],
) -> None:
    """Show a rule: why it matters, its parameters and condition, and the SQL it compiles to."""
    from auditor.assessment.evidence import condition_words
    from auditor.assessment.sql import Context, compile_condition
    from auditor.estate.fields import TABLE_OF

    rule = _find(load_rules([*bundled_files(), *own_files(rules)]), rule_id)
    bound = bind(rule, {}, None, rule.id)
    context = Context(rule.resource, None, frozenset(TABLE_OF.values()))
    lines = [
        f"{rule.id}: {rule.title}",
        f"{rule.severity} · judges each {rule.resource} · {', '.join(rule.profiles)}",
        "",
    ]
    lines += [rule.rationale, ""]
    lines += [f"applies  {condition_words(bound.applies) if bound.applies is not None else 'always'}"]
    lines += [f"require  {condition_words(bound.require)}", ""]
    for parameter in rule.parameters.values():
        lines.append(
            f"  {parameter.name} ({parameter.type}) = {json.dumps(parameter.default)}  {parameter.description}"
        )
        for profile, values in rule.profiles.items():
            if parameter.name in values:
                lines.append(f"    in the profile {profile}: {json.dumps(values[parameter.name])}")
    lines += ["", *(f"{name}: {', '.join(ids)}" for name, ids in rule.controls.items())]
    lines += [*rule.references, "", f"from {rule.place}", ""]
    for name, condition in (("applies", bound.applies), ("require", bound.require)):
        if condition is not None:
            sql = compile_condition(condition, context)
            lines += [f"{name} as SQL: {sql.text}", f"  values: {json.dumps(list(sql.values))}"]
    for line in lines:
        typer.echo(printable(line))


@app.command("check")
def check_rules(paths: PathsArgument = None) -> None:
    """Check rule files and their cases, and tell all errors at once. Exit code 2 when there are any."""
    files = _files(paths)
    faults: list[Fault] = []
    rules: list[Rule] = []
    try:
        rules = _load(files, paths)
    except InputErrors as error:
        faults += error.faults
        rules = _readable(files)
    from auditor.assessment.cases import load_cases

    for rule in rules:
        try:
            file = _cases_of(rule, files)
            if file is not None:
                load_cases(file.path, file.shown, rule)
        except InputErrors as error:
            faults += error.faults
    if faults:
        raise InputErrors(faults)
    typer.echo(f"{len(rules)} rule{'' if len(rules) == 1 else 's'} without errors")


@app.command("test")
def test_rules(paths: PathsArgument = None) -> None:
    """Run the cases of rules. Exit code 1 when a case fails or an outcome is not shown by any case."""
    from auditor.assessment.cases import load_cases, missing_outcomes, run_case

    files = _files(paths)
    failures = passed = 0
    for rule in _load(files, paths):
        file = _cases_of(rule, files)
        if file is None:
            failures += 1
            typer.echo(f"FAIL {rule.id}: there is no file of cases ({rule.id}.yaml in a folder cases beside the rule)")
            continue
        cases = load_cases(file.path, file.shown, rule)
        for outcome in missing_outcomes(rule, cases):
            failures += 1
            typer.echo(f"FAIL {rule.id}: no case shows the outcome {outcome}")
        for case in cases:
            result = run_case(rule, case)
            if result.failure:
                failures += 1
                typer.echo(printable(f"FAIL {case.place}: {rule.id}: {case.name}: {result.failure}"))
            else:
                passed += 1
    typer.echo(f"{passed} case{'' if passed == 1 else 's'} passed, {failures} failed")
    raise typer.Exit(ExitCode.VIOLATIONS if failures else ExitCode.OK)


@app.command("docs")
def docs(
    paths: PathsArgument = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder to write a page for each rule into; else stdout.")
    ] = None,
) -> None:
    """Write a page for each rule: what it means, why, on which evidence, how to fix, its parameters, by example."""
    from auditor.assessment.cases import load_cases
    from auditor.atomic_file import atomic_file
    from auditor.reference.pages import rule_page

    files = _files(paths)
    together = load_rules([*bundled_files(), *files] if paths else files)
    for rule in [rule for rule in together if rule.own or not paths]:
        file = _cases_of(rule, files)
        page = rule_page(rule, load_cases(file.path, file.shown, rule) if file is not None else [])
        if output is None:
            typer.echo(page)
            continue
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot write {output}: {error.strerror}", "Choose another folder.") from error
        with atomic_file(output / f"{rule.id}.md") as page_file:
            page_file.write(page.encode())
        typer.echo(f"Wrote {output / f'{rule.id}.md'}", err=True)


@app.command("schema")
def schema(
    what: Annotated[
        str, typer.Argument(help="rule, cases, config, exemptions, attestations, report, diff, plan or run.")
    ] = "rule",
) -> None:
    """Print the JSON Schema of a kind of file, for editors."""
    from auditor.reference.schemas import SCHEMAS

    if what not in SCHEMAS:
        raise UsageError(f"there is no schema {what}", did_you_mean(what, list(SCHEMAS)))
    typer.echo(json.dumps(SCHEMAS[what](), indent=2, ensure_ascii=False))


def _files(paths: Sequence[Path] | None) -> list[RuleFile]:
    return own_files(paths) if paths else bundled_files()


def _load(files: Sequence[RuleFile], paths: Sequence[Path] | None) -> list[Rule]:
    """Load rules beside the bundled ones, which they may name, and return those that were asked for."""
    together = load_rules([*bundled_files(), *files] if paths else files)
    return [rule for rule in together if rule.own or not paths]


def _find(rules: Sequence[Rule], rule_id: str) -> Rule:
    for rule in rules:
        if rule.id == rule_id:
            return rule
    raise UsageError(f"there is no rule {rule_id}", did_you_mean(rule_id, [rule.id for rule in rules]))


def _readable(files: Sequence[RuleFile]) -> list[Rule]:
    """Return the rules that are right by themselves, so that their cases are checked all the same."""
    rules = []
    for file in files:
        try:
            rules += [rule for rule in load_rules([*bundled_files(), file]) if rule.own or not file.own]
        except InputErrors:
            continue
    return rules


def _cases_of(rule: Rule, files: Sequence[RuleFile]) -> RuleFile | None:
    """Return the file of a rule's cases: ``cases/ID.yaml`` beside the rule, if there is one."""
    if not rule.own:
        path = bundled("rules") / "cases" / f"{rule.id}.yaml"
        return RuleFile(path, f"rules/cases/{rule.id}.yaml", own=False) if path.is_file() else None
    for file in files:
        if isinstance(file.path, Path) and file.path.stem == rule.id:
            beside = file.path.parent / "cases" / f"{rule.id}.yaml"
            return RuleFile(beside, str(beside), own=True) if beside.is_file() else None
    return None
