"""Finds the tools of other people that check reports, and installs those that can be had."""

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODULES = HERE / "node_modules"
OLDEST_NODE = 20


@dataclass
class Tools:
    """Where each tool is; of one that is not there, ``missing`` says why."""

    node: str = ""
    java: str = ""
    chromium: str = ""
    pdfinfo: str = ""
    pdftotext: str = ""
    missing: dict[str, str] = field(default_factory=dict)

    def lacks(self, *names: str) -> str:
        """Return why these tools cannot be used together, or nothing when they can."""
        return "; ".join(self.missing[name] for name in names if name in self.missing)


def find_tools() -> Tools:
    """Look for every tool; install what is missing where that is allowed."""
    tools = Tools()
    tools.node = _node(tools.missing)
    if tools.node:
        why = _npm()
        if why:
            tools.missing["npm"] = why
    else:
        tools.missing["npm"] = tools.missing["node"]
    tools.java = _program(tools.missing, "java", ("java",), ("default-jre-headless",))
    browsers = ("chromium", "chromium-browser", "google-chrome")
    tools.chromium = _program(tools.missing, "chromium", browsers, ("chromium", "fonts-liberation"))
    tools.pdfinfo = _program(tools.missing, "pdfinfo", ("pdfinfo",), ("poppler-utils",))
    tools.pdftotext = _program(tools.missing, "pdftotext", ("pdftotext",), ("poppler-utils",))
    return tools


def _node(missing: dict[str, str]) -> str:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        missing["node"] = f"Node.js {OLDEST_NODE} or newer with npm is not installed"
        return ""
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    version = re.match(r"v(\d+)", said)
    if version is None or int(version[1]) < OLDEST_NODE:
        missing["node"] = f"Node.js is {said or 'broken'}, not {OLDEST_NODE} or newer"
        return ""
    return node


def _npm() -> str:
    """Install what package-lock.json pins; return why that was not possible, or nothing."""
    lock = (HERE / "package-lock.json").read_bytes()
    wanted, ready = hashlib.sha256(lock).hexdigest(), MODULES / ".ready"
    if ready.is_file() and ready.read_text(encoding="utf-8") == wanted:
        return ""
    npm = shutil.which("npm") or "npm"
    done = subprocess.run(
        [npm, "ci", "--fetch-retries=1", "--fetch-timeout=60000"], cwd=HERE, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        return f"npm ci failed: {(lines or ['without a word'])[0]}"
    ready.write_text(wanted, encoding="utf-8")
    return ""


def _program(missing: dict[str, str], name: str, commands: tuple[str, ...], packages: tuple[str, ...]) -> str:
    found = next((path for path in map(shutil.which, commands) if path), "")
    if found:
        return found
    why = _apt(packages)
    found = next((path for path in map(shutil.which, commands) if path), "")
    if not found:
        missing[name] = f"{name} is not installed ({why})"
    return found


@cache
def _apt(packages: tuple[str, ...]) -> str:
    """Install Debian packages; return what came of it."""
    apt, names = shutil.which("apt-get"), " ".join(packages)
    if apt is None:
        return "there is no apt-get to install it with"
    if os.geteuid() != 0:
        return f"only root could install {names}"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = [apt, "install", "-y", "--no-install-recommends", *packages]
    for command in (install, [apt, "update"], install):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=900)
        if command is install and done.returncode == 0:
            return f"{names} did not bring it"
    return f"apt-get install {names} failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}"
