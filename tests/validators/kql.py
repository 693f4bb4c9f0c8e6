"""Has Microsoft's own parser and binder of KQL judge the queries that Resource Graph is asked."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from arm.graph_rows import BAGS, TABLES, TEXTS  # noqa: E402 -- after the path that it is found on

from auditor.inventory.projection import GRAPH_TABLES, MARK, projection_of  # noqa: E402
from auditor.inventory.tables import VIRTUAL_MACHINES  # noqa: E402

PACKAGE = HERE / "node_modules" / "@kusto" / "language-service-next"
COLUMNS = dict.fromkeys(TEXTS, "string") | dict.fromkeys(BAGS, "dynamic")
# What a query must give whatever it is about.
ALWAYS = {"id": "string", "name": "string", "type": "string", "tags": "dynamic", MARK: "string"}
Answer = dict[str, Any]


def _replaced(old: str, new: str) -> Callable[[str], str]:
    def spoil(query: str) -> str:
        assert old in query, old
        return query.replace(old, new, 1)

    return spoil


# What is broken on purpose, in the query of a part of the virtual machines.
BROKEN: dict[str, Callable[[str], str]] = {
    "a column that is not there": _replaced(" location,", " locaton,"),
    "a column in other letters": _replaced(" location,", " Location,"),
    "a bag that is not there": _replaced("= properties.", "= propertys."),
    "a function that is not there": _replaced("isnotnull(", "isnotnul("),
    "a function of nothing": _replaced("hash(tolower(id))", "hash()"),
    "a table that is not there": _replaced("resources\n", "resource\n"),
    "a table in other letters": _replaced("resources\n", "Resources\n"),
    "an operator that is not there": _replaced("| project ", "| projekt "),
    "a pipe left out": _replaced("\n| project ", "\nproject "),
    "a comma left out": _replaced("id, name", "id name"),
    "a parenthesis left open": _replaced("hash(tolower(id))", "hash(tolower(id)"),
    "a text left open": _replaced("'microsoft.compute/virtualmachines'", "'microsoft.compute/virtualmachines"),
    "a text in a calculation": _replaced("hash(tolower(id)) %", "tolower(id) %"),
    "a filter that is no truth": _replaced(" == 3", ""),
    "a member of a text": _replaced(" location,", " location.name,"),
    "a column named twice": _replaced("id, name", "id, id, name"),
    "a keyword for a name": _replaced("created =", "kind ="),
    "an order by what is not given": _replaced("project id,", "project"),
    "an order by a bag": _replaced("order by id", "order by tags"),
}


def queries() -> dict[str, str]:
    """Return our queries by name."""
    made = {}
    for table in GRAPH_TABLES:
        words = table.name.replace("_", " ")
        made[words] = projection_of(table).kql()
        made[f"a part of {words}"] = projection_of(table).kql(3, 8)
    return made


def install(package: Path = PACKAGE) -> str:
    """Install what package-lock.json pins, a package among it; return why that was not possible, or nothing."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return "Node.js with npm is not installed"
    if not package.is_dir():
        command = [npm, "ci", "--fetch-retries=1", "--fetch-timeout=120000"]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"npm ci failed: {(done.stderr.strip().splitlines() or ['without a word'])[0]}"
    return ""


def judged(asked: list[str]) -> list[Answer]:
    """Return what is said of each query, and the columns that it gives."""
    told = json.dumps({"tables": dict.fromkeys(TABLES, COLUMNS), "queries": asked})
    command = ["node", str(HERE / "kql.mjs")]
    done = subprocess.run(command, input=told, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=True)
    answers: list[Answer] = json.loads(done.stdout)
    assert len(answers) == len(asked)
    return answers


def refusal(answer: Answer) -> str:
    """Return why a query is refused, or nothing."""
    return "; ".join(answer["refused"])


def lacking(answer: Answer) -> list[str]:
    """Return what the columns of a query lack, though it is right."""
    columns = dict(answer["columns"])
    return [f"no column {name}: {kind}" for name, kind in ALWAYS.items() if columns.get(name) != kind]


def main() -> int:
    """Print a line for each query; return 1 when one is judged otherwise than it should be."""
    why = install()
    if why:
        sys.stdout.write(f"SKIPPED kql: {why}\n")
        return 0
    right = queries()
    example = projection_of(VIRTUAL_MACHINES).kql(3, 8)
    broken = {name: spoil(example) for name, spoil in BROKEN.items()}
    answers = judged([*TABLES, *right.values(), *broken.values()])
    wrong = 0

    def tell(what: str, *, right: bool, said: str = "") -> None:
        nonlocal wrong
        wrong += not right
        sys.stdout.write(f"{'ok' if right else 'FAILED'} kql: {what}\n")
        if not right and said:
            sys.stdout.write(f"{said}\n")

    # A table declared without its columns is no error to the parser, and makes it refuse whatever is asked of it.
    for table, answer in zip(TABLES, answers, strict=False):
        tell(f"{table} has the columns it was given", right=dict(answer["columns"]) == COLUMNS, said=str(answer))
    for name, answer in zip([*right, *broken], answers[len(TABLES) :], strict=True):
        said = refusal(answer) if name in broken else refusal(answer) or ", ".join(lacking(answer))
        tell(f"{name} is {'refused' if said else 'accepted'}", right=bool(said) == (name in broken), said=said)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
