"""``auditor init``: the files that a team begins with."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from auditor.atomic_file import atomic_file
from auditor.bundled import bundled
from auditor.errors import UsageError
from auditor.text import printable
from auditor.yaml_source import did_you_mean

# Where each platform looks for it.
CI = {"github": ".github/workflows/backup-audit.yml", "azure-devops": "azure-pipelines.yml", "gitlab": ".gitlab-ci.yml"}
FILES = ("auditor.yaml", "exemptions.yaml", "rules/vm-has-owner.yaml", "rules/cases/vm-has-owner.yaml")
NEXT = """
Next:
  auditor rules check rules        your rules and their cases, all errors at once
  auditor rules test rules         the cases of your first rule
  auditor doctor                   who is signed in to Azure, and what can be read
  auditor audit -o report.html     the first report; with --inventory exports/ of files instead of Azure
In auditor.yaml say what your vaults are for (intents): until then their redundancy is unknown.
Editors with a YAML language server complete and check the files by schemas/.
"""


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where to; made if it is not there. The top of your repository.")
    ] = Path(),
    ci: Annotated[str, typer.Option("--ci", help="github, azure-devops, gitlab or none.")] = "github",
) -> None:
    """Write what a team begins with: auditor.yaml, a first rule with cases, exemptions.yaml, schemas, a CI file.

    No file that is there is ever touched: where one of them exists, nothing is written. Exit code 2.
    """
    if ci not in (*CI, "none"):
        raise UsageError(f"--ci is never {ci}", did_you_mean(ci, (*CI, "none")))
    content = _content(ci)
    there = [name for name in content if os.path.lexists(folder / name)]
    if there:
        hint = "--ci none leaves it out." if there == [CI.get(ci)] else "Choose another folder, or move it away."
        names = ", ".join(str(folder / name) for name in there)
        raise UsageError(f"there is already {names}", f"Nothing was written. {hint}")
    _write(folder, content)
    for name in content:
        typer.echo(printable(f"Wrote {folder / name}"))
    if ci != "none":
        typer.echo(f"Before {CI[ci]} runs, fill in what its first lines ask for.")
    typer.echo(NEXT, nl=False)


def _content(ci: str) -> dict[str, bytes]:
    """Return each file to write, by its path in the folder."""
    from auditor.reference.schemas import EDITED, schema_text

    starter = bundled("starter")
    files = {name: starter.joinpath(name).read_bytes() for name in FILES}
    if ci != "none":
        files[CI[ci]] = starter.joinpath("ci", f"{ci}.yml").read_bytes()
    return files | {f"schemas/{name}.schema.json": schema_text(name, indent=None).encode() for name in EDITED}


def _write(folder: Path, content: Mapping[str, bytes]) -> None:
    """Write all of the files or none."""
    written: list[Path] = []
    try:
        for name, data in content.items():
            path = folder / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(f"cannot write {path}: {error.strerror}", "Nothing was written.") from error
            with atomic_file(path) as file:
                file.write(data)
            written.append(path)
    except BaseException:
        for path in written:
            with suppress(OSError):
                path.unlink()
        raise
