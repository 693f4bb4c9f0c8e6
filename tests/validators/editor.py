"""Has the YAML language server, which editors use, complete and check what ``auditor init`` writes, by its schemas."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from kql import install  # type: ignore[import-not-found]  # noqa: E402 -- after the path that it is found on

PACKAGE = HERE / "node_modules" / "yaml-language-server"
AUDITOR = Path(sys.executable).parent / "auditor"
SETTINGS = {"validate": True, "hover": True, "completion": True, "schemaStore": {"enable": False}}
RULE, CASES, CONFIG, EXEMPTIONS = (
    "rules/vm-has-owner.yaml",
    "rules/cases/vm-has-owner.yaml",
    "auditor.yaml",
    "exemptions.yaml",
)
ITEM = "field: item # whether there is a backup item of the VM\n  exists: true"
# File, what replaces what in it, and what the server must say of it.
MISSPELT = (
    (RULE, "severity: low", "severity: lo", "Valid values"),
    (RULE, "field: item #", "field: itm #", "Valid values"),
    (RULE, 'notEquals: ""', 'notEqual: ""', "notEqual is not allowed"),
    (RULE, "exists: true\nrequire", "exists: maybe\nrequire", "boolean"),
    (RULE, ITEM, "field: vm.created\n  like: a*", "like"),
    (RULE, ITEM, "field: vm.agent\n  equals: redy", "ready"),
    (CASES, "outcome: pass", "outcome: passes", "Valid values"),
    (CASES, "state: protected", "stat: protected", "stat is not allowed"),
    (CONFIG, "grace_hours: 24", "grace_hours: a day", "number"),
    (CONFIG, "fail_on: high", "fail_on: hihg", "Valid values"),
    (EXEMPTIONS, "# There are none yet", "- id: EX-1 #", "Missing property"),
)
# File, text behind which the cursor stands once it is written there, and some of what is proposed.
PROPOSED = (
    (
        RULE,
        "  field: item # ",
        "  field: ",
        {"vm.agent": "State of the Azure VM agent", "item.state": "live backup item"},
    ),
    (RULE, "  exists: true\nrequire", "  \nrequire", {"exists": "It is there"}),
    (RULE, ITEM, "field: vm.agent\n  equals: ", {"ready": ""}),
    (CASES, "outcome: pass", "outcome: ", {"not-applicable": ""}),
    (CASES, "item: {state: protected}", "item:\n      ", {"policy_id": "backup policy"}),
    (
        CONFIG,
        "    grace_hours: 24 # hours that a new VM may go without its first backup",
        "    ",
        {"grace_hours": "24 if not said"},
    ),
    (CONFIG, "  vm-protected:\n", "  \n", {"policy-runs-per-day": "one to five times a day"}),
)


class Server:
    """A language server that talks over its standard input and output."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        """Take a process that was just started."""
        assert process.stdin is not None
        assert process.stdout is not None
        self.into: IO[bytes] = process.stdin
        self.out: IO[bytes] = process.stdout
        self.number = 0

    def say(self, **message: Any) -> None:
        """Send a message."""
        data = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.into.write(b"Content-Length: %d\r\n\r\n%b" % (len(data), data))
        self.into.flush()

    def hear(self) -> dict[str, Any]:
        """Return the next message; questions about settings are answered."""
        while True:
            length = 0
            while line := self.out.readline().strip():
                name, _, value = line.partition(b": ")
                length = int(value) if name == b"Content-Length" else length
            if not length:
                raise EOFError
            message: dict[str, Any] = json.loads(self.out.read(length))
            if "id" not in message or "method" not in message:
                return message
            asked = message.get("params", {}).get("items", [])
            self.say(id=message["id"], result=[SETTINGS if item.get("section") == "yaml" else None for item in asked])

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        """Ask, and return the answer."""
        self.number += 1
        self.say(id=self.number, method=method, params=params)
        while True:
            message = self.hear()
            if message.get("id") == self.number:
                return message.get("result")

    def complaints(self, path: Path) -> str:
        """Open a file, and return what is said of it."""
        uri, text = path.as_uri(), path.read_text(encoding="utf-8")
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self.say(method="textDocument/didOpen", params={"textDocument": document})
        while True:
            message = self.hear()
            if message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == uri:
                return "; ".join(entry["message"] for entry in message["params"]["diagnostics"])

    def proposals(self, path: Path, before: str) -> dict[str, str]:
        """Return what is proposed at the end of the text ``before`` in an open file, with its meaning."""
        lines = before.split("\n")
        position = {"line": len(lines) - 1, "character": len(lines[-1])}
        found = self.ask("textDocument/completion", {"textDocument": {"uri": path.as_uri()}, "position": position})
        entries = found["items"] if isinstance(found, dict) else found or []
        return {entry["label"]: json.dumps(entry.get("documentation", "")) for entry in entries}


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Start the server for a folder."""
    command = ["node", str(PACKAGE / "bin" / "yaml-language-server"), "--stdio"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            server = Server(process)
            root = folder.as_uri()
            formats = {"completion": {"completionItem": {"documentationFormat": ["markdown"], "snippetSupport": True}}}
            server.ask(
                "initialize",
                {
                    "processId": None,
                    "rootUri": root,
                    "workspaceFolders": [{"uri": root, "name": "ours"}],
                    "capabilities": {"workspace": {"configuration": True}, "textDocument": formats},
                },
            )
            server.say(method="initialized", params={})
            server.say(method="workspace/didChangeConfiguration", params={"settings": {"yaml": SETTINGS}})
            yield server
        finally:
            process.kill()


def main() -> int:
    """Print a line for each file; return 1 when one is judged, or completed, otherwise than it should be."""
    why = install(PACKAGE)
    if why:
        sys.stdout.write(f"SKIPPED editor: {why}\n")
        return 0
    wrong = 0

    def tell(what: str, *, right: bool, said: str) -> None:
        nonlocal wrong
        wrong += not right
        sys.stdout.write(f"{'ok' if right else 'FAILED'} editor: {what}\n" + ("" if right else f"{said}\n"))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        subprocess.run([AUDITOR, "init", str(folder)], check=True, capture_output=True)
        with serving(folder) as server:
            for file in (RULE, CASES, CONFIG, EXEMPTIONS):
                said = server.complaints(folder / file)
                tell(f"{file} is accepted", right=not said, said=said)
            for number, (file, old, new, wanted) in enumerate(MISSPELT):
                path = _changed(folder / file, old, new, f"misspelt-{number}")
                said = server.complaints(path)
                tell(
                    f"{new.removesuffix(chr(10) + 'require').splitlines()[-1].strip()} is refused",
                    right=wanted in said,
                    said=said,
                )
            for number, (file, old, new, wanted_words) in enumerate(PROPOSED):
                path = _changed(folder / file, old, new, f"proposed-{number}")
                server.complaints(path)
                before = (folder / file).read_text(encoding="utf-8").partition(old)[0]
                before += new.rstrip("\n").removesuffix("\nrequire")
                found = server.proposals(path, before)
                right = all(meaning in found.get(word, "(none)") for word, meaning in wanted_words.items())
                tell(f"{', '.join(wanted_words)} is proposed", right=right, said=str(sorted(found)))
    return int(wrong > 0)


def _changed(path: Path, old: str, new: str, name: str) -> Path:
    """Write a file beside another one, with something else in it."""
    text = path.read_text(encoding="utf-8")
    assert old in text, old
    other = path.with_name(f"{name}.yaml")
    other.write_text(text.replace(old, new, 1), encoding="utf-8")
    return other


if __name__ == "__main__":
    sys.exit(main())
