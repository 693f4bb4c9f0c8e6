"""``auditor rules``: look at rules, check them, test them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from auditor.bundled import bundled
from auditor.cli import options
from auditor.cli.question import read_as_of, read_parameters, read_profile
from auditor.errors import ExitCode, Fault, InputErrors, Place, UsageError
from auditor.ruleset.load import RuleFile, bind, bundled_files, load_rules, own_files, read_rules
from auditor.ruleset.model import Age, BoundRule, Rule
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
    list[Path] | None,
    typer.Argument(help="Rule files or folders; the bundled rules and those of ./auditor.yaml if left out."),
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
    profile: options.Profile = None,
    param: options.Parameters = [],
    as_of: options.AsOf = None,
) -> None:
    """Show a rule: why it matters, its parameters and condition, and the SQL it compiles to.

    --profile and --param put other values in, --as-of the time that ages are counted back from.
    """
    from auditor.assessment.evidence import condition_words

    known = load_rules([*bundled_files(), *own_files(rules)])
    rule = _find(known, rule_id)
    chosen = read_profile(profile) or next(iter(rule.profiles))
    given = read_parameters(param, [entry.id for entry in known]).get(rule.id, {})
    now = read_as_of(as_of)
    bound = bind(rule, {**rule.profiles.get(chosen, {}), **given}, None, "--param")
    lines = [
        f"{rule.id}: {rule.title}",
        f"{rule.severity} · judges each {rule.resource} · {', '.join(rule.profiles)}",
        "",
        rule.rationale,
        "",
        f"applies  {condition_words(bound.applies) if bound.applies is not None else 'always'}",
        f"require  {condition_words(bound.require)}",
        f"message  {rule.message}",
        *(
            f"fix      {line}" if not number else f"         {line}"
            for number, line in enumerate(rule.fix.splitlines())
        ),
        "",
        *_parameter_lines(bound, chosen),
        *(f"{name}: {', '.join(ids)}" for name, ids in rule.controls.items()),
        *rule.references,
        "",
        f"from {rule.place}",
        "",
        *_sql_lines(bound, now),
    ]
    for line in lines:
        typer.echo(printable(line))


def _parameter_lines(bound: BoundRule, profile: str) -> list[str]:
    """Say what each parameter is, and what it would be in other profiles."""
    lines = []
    for parameter in bound.rule.parameters.values():
        value = bound.values[parameter.name]
        lines.append(f"  {parameter.name} ({parameter.type}) = {_json(value)}  {parameter.description}")
        if value != parameter.default:
            lines.append(f"    {_json(parameter.default)} by default")
        lines += [
            f"    in the profile {other}: {_json(values[parameter.name])}"
            for other, values in bound.rule.profiles.items()
            if parameter.name in values and other != profile
        ]
    return [*lines, ""] if lines else []


def _sql_lines(bound: BoundRule, now: int | None) -> list[str]:
    from auditor.assessment.sql import Context, compile_condition
    from auditor.estate.fields import TABLE_OF

    context = Context(bound.subject, now, frozenset(TABLE_OF.values()))
    lines = []
    for name, condition in (("applies", bound.applies), ("require", bound.require)):
        if condition is not None:
            sql = compile_condition(condition, context)
            lines += [f"{name} as SQL: {sql.text}", f"  values: {_json(list(sql.values))}"]
    if now is None and any(isinstance(leaf.right, Age) for leaf in bound.leaves()):
        lines.append("Compiled for an inventory that does not say when it was taken; --as-of TIME says it.")
    return lines


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


@app.command("check")
def check_rules(paths: PathsArgument = None) -> None:
    """Check rule files and their cases, and tell all errors at once. Exit code 2 when there are any."""
    files = _files(paths)
    rules, faults = read_rules([*bundled_files(), *files] if paths else files)
    rules = [rule for rule in rules if rule.own or not paths]
    wrong = {fault.place.file for fault in faults}
    from auditor.assessment.cases import load_cases

    for rule in rules:
        try:
            file = _cases_of(rule, files)
            if file is not None:
                load_cases(file.path, file.shown, rule, whole=rule.place.file not in wrong)
        except InputErrors as error:
            faults += error.faults
    faults += _stray_cases(files)
    if faults:
        raise InputErrors(faults)
    typer.echo(f"{len(rules)} rule{'' if len(rules) == 1 else 's'} without errors")


@app.command("test")
def test_rules(paths: PathsArgument = None) -> None:
    """Run the cases of rules. Exit code 1 when a case fails or an outcome is not shown by any case.

    Parts of conditions that no case makes true, or false, are named: nobody would notice if they were wrong.
    """
    from auditor.assessment.branches import unseen
    from auditor.assessment.cases import load_cases, missing_outcomes, run_case

    files = _files(paths)
    rules = _load(files, paths)
    if strays := _stray_cases(files):
        raise InputErrors(strays)
    failures = passed = 0
    for rule in rules:
        file = _cases_of(rule, files)
        if file is None:
            failures += 1
            typer.echo(f"FAIL {rule.id}: there is no file of cases ({rule.id}.yaml in a folder cases beside the rule)")
            continue
        cases = load_cases(file.path, file.shown, rule)
        for outcome in missing_outcomes(rule, cases):
            failures += 1
            typer.echo(f"FAIL {rule.id}: no case shows the outcome {outcome}")
        results = [run_case(rule, case) for case in cases]
        for result in results:
            if result.failure:
                failures += 1
                case = result.case
                typer.echo(printable(f"FAIL {case.place}: {rule.id}: {case.name}: {result.failure}"))
            else:
                passed += 1
        for branch in unseen(rule, [result.truths for result in results]):
            word = "true" if branch.truth else "false"
            typer.echo(printable(f"{rule.id}: no case makes {branch.path} {word} ({branch.place})"))
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
        _make(output)
        with atomic_file(output / f"{rule.id}.md") as page_file:
            page_file.write(page.encode())
        typer.echo(f"Wrote {output / f'{rule.id}.md'}", err=True)


@app.command("schema")
def schema(
    what: Annotated[
        str | None,
        typer.Argument(help="rule (if left out), cases, config, exemptions, attestations, report, diff, plan or run."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder to write it into; if no kind is named, those of files people write."
        ),
    ] = None,
) -> None:
    """Print the JSON Schema of a kind of file, for editors; or write them into a folder, as init does."""
    from auditor.atomic_file import atomic_file
    from auditor.reference.schemas import EDITED, SCHEMAS, schema_text

    if what is not None and what not in SCHEMAS:
        raise UsageError(f"there is no schema {what}", did_you_mean(what, list(SCHEMAS)))
    if output is None:
        typer.echo(schema_text(what or "rule"), nl=False)
        return
    _make(output)
    for name in (what,) if what is not None else EDITED:
        path = output / f"{name}.schema.json"
        with atomic_file(path) as file:
            file.write(schema_text(name, indent=None).encode())
        typer.echo(printable(f"Wrote {path}"), err=True)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}", "Choose another folder.") from error


def _files(paths: Sequence[Path] | None) -> list[RuleFile]:
    """Return the rules of some files and folders; without any the bundled ones, and those of ./auditor.yaml."""
    if paths:
        return own_files(paths)
    return [*bundled_files(), *own_files(_configured())]


def _configured() -> list[Path]:
    from auditor.cli.question import DEFAULT_CONFIG
    from auditor.declared.config import load_config

    if not DEFAULT_CONFIG.is_file():
        return []
    return [DEFAULT_CONFIG.parent / name for name in load_config(DEFAULT_CONFIG)[0].rules]


def _load(files: Sequence[RuleFile], paths: Sequence[Path] | None) -> list[Rule]:
    """Load rules beside the bundled ones, which they may name, and return those that were asked for."""
    together = load_rules([*bundled_files(), *files] if paths else files)
    return [rule for rule in together if rule.own or not paths]


def _find(rules: Sequence[Rule], rule_id: str) -> Rule:
    for rule in rules:
        if rule.id == rule_id:
            return rule
    raise UsageError(f"there is no rule {rule_id}", did_you_mean(rule_id, [rule.id for rule in rules]))


def _cases_of(rule: Rule, files: Sequence[RuleFile]) -> RuleFile | None:
    """Return the file of a rule's cases: ``cases/ID.yaml`` beside the rule, if there is one."""
    if not rule.own:
        path = bundled("rules") / "cases" / f"{rule.id}.yaml"
        return RuleFile(path, f"rules/cases/{rule.id}.yaml", own=False) if path.is_file() else None
    for file in files:
        if isinstance(file.path, Path) and file.shown == rule.place.file:
            for name in _names(file.path.stem):
                beside = file.path.parent / "cases" / name
                if beside.is_file():
                    return RuleFile(beside, str(beside), own=True)
    return None


def _stray_cases(files: Sequence[RuleFile]) -> list[Fault]:
    """Tell which files of cases no rule stands beside: nobody would run them."""
    faults = []
    for folder in sorted({file.path.parent for file in files if isinstance(file.path, Path) and file.own}):
        for cases in sorted((folder / "cases").glob("*.y*ml")):
            if not any((folder / name).is_file() for name in _names(cases.stem)):
                hint = did_you_mean(cases.stem, [path.stem for path in folder.glob("*.y*ml")])
                message = f"there is no rule {cases.stem} beside the folder cases"
                faults.append(Fault(Place(str(cases), 1, 1), message, hint))
    return faults


def _names(rule_id: str) -> tuple[str, str]:
    return f"{rule_id}.yaml", f"{rule_id}.yml"
