"""The terminal summary where no terminal is, and where it is narrow: by environment and with a pseudo-terminal."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

import pytest
from rich.cells import cell_len
from test_command import AUDITOR, EXAMPLE, run

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
MOST_LINES = 60


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    assert run("audit", *EXAMPLE, "-o", "r.json", folder=folder).returncode == 1
    return folder


def on_a_terminal(folder: Path, width: int, *arguments: str, **environment: str) -> str:
    """Run the command with a terminal as its standard output and error, and return what it shows."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    settings = {**kept, "PYTHONUTF8": "1", "TERM": "xterm-256color", **environment}
    with subprocess.Popen([AUDITOR, *arguments], cwd=folder, env=settings, stdout=its, stderr=its):
        os.close(its)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # how Linux tells the end of a terminal
                piece = b""
            if not piece:
                break
            shown += piece
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("environment", [{}, {"CI": "true", "GITHUB_ACTIONS": "true"}, {"COLUMNS": "20"}])
def test_piped_lines_are_plain_and_whole(reports: Path, environment: dict[str, str]) -> None:
    whole = run("audit", *EXAMPLE, folder=reports).stdout
    said = run("audit", *EXAMPLE, folder=reports, **environment)
    assert said.stdout == whole
    assert said.stderr == ""
    assert not set(whole) & set("\x1b\r")
    lines = whole.splitlines()
    assert any(len(line) > 200 for line in lines)
    assert len(lines) <= MOST_LINES
    assert not any(line.endswith("…") for line in lines)
    assert lines == [line.rstrip() for line in lines]


@pytest.mark.parametrize("arguments", [["--help"], ["audit", "--help"], ["audit", "--nonsense"], ["rules", "list"]])
def test_help_and_errors_are_plain_in_a_pipeline(arguments: list[str]) -> None:
    said = run(*arguments, CI="true", GITHUB_ACTIONS="true")
    assert "\x1b" not in said.stdout + said.stderr
    assert not set("─│╭") & set(said.stdout + said.stderr)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_on_a_terminal_all_fits_its_width(reports: Path, width: int) -> None:
    shown = on_a_terminal(reports, width, "audit", *EXAMPLE)
    assert "\x1b[" in shown
    plain = ESCAPE.sub("", shown)
    assert "\x1b" not in plain
    assert max(map(cell_len, plain.splitlines())) <= width
    assert "…" in plain
    assert "Exit code 1: " in plain


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "CI": "true"}])
def test_without_colours_where_nobody_wants_them(reports: Path, environment: dict[str, str]) -> None:
    shown = on_a_terminal(reports, 100, "audit", *EXAMPLE, **environment)
    assert not re.search(r"\x1b\[(?!0?m|1m|2m)[0-9;]*m", shown), "a colour"


def test_colours_can_be_had_in_a_log(reports: Path) -> None:
    assert "\x1b[" in run("audit", *EXAMPLE, folder=reports, FORCE_COLOR="1").stdout


def test_annotations_are_never_wrapped_nor_coloured(reports: Path) -> None:
    shown = on_a_terminal(reports, 40, "render", "r.json", "--annotations", "github", GITHUB_ACTIONS="true")
    assert "\x1b" not in shown
    assert all(line.startswith("::") for line in shown.splitlines())
