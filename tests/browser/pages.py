"""Makes the reports that are checked, each with the command itself: a page and the report.json it was made from."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "bench")]

import building  # noqa: E402 -- what other tests and the benchmarks use
import synthetic  # noqa: E402

from auditor.assessment.evidence import show  # noqa: E402
from auditor.text import visible  # noqa: E402

AUDITOR = str(Path(sys.executable).parent / "auditor")
AS_OF = "2026-11-02T06:00:00Z"
EXAMPLES = ROOT / "examples"
MANY_VMS = 2_000
WORDS = {"p": "pass", "f": "fail", "u": "unknown", "n": "not-applicable"}

RAN = "window.__xss=1"
# What a name could be that wants to be more than a name; each sets window.__xss if it is ever run.
MARKUP = (
    f"<img src=x onerror={RAN}>",
    f"</script><script>{RAN}</script>",
    f'"><svg onload={RAN}>',
    f"' onmouseover='{RAN}",
    f"`onfocus={RAN} autofocus tabindex=1",
    f"javascript:{RAN}",
    f"</title></style></textarea><script>{RAN}</script>",
    f"<!--<script>{RAN}//-->",
    f"]]><svg/onload={RAN}>",
    f"{{{{ 7*7 }}}}{{% set x %}}${{{RAN}}}",
    f"<a href=javascript:{RAN}>open</a><base href=//x.example/>",
    "<iframe srcdoc='<script>parent.__xss=1</script>'></iframe>",
    "&lt;img&gt; &amp;amp; &#60;b&#62; &notit;",
)
TEXTS = (
    "quote \" and ' and ` and \\ and \\u003cb\\u003e",
    "escape \x1b[31mred\x1b[0m bell \x07 nul \x00 end",
    "right to left \u202egnp.exe\u202c and \u2066isolate\u2069",
    "zero\u200bwidth\u200d joined \ufeff mark",
    "lone \ud800 and \udfff surrogates",
    "lines \n\r\u2028\u2029\x85 end",
    "nonchar \ufffe \uffff \U0001fffe \ufdd0",
    "C1 \x80\x9b31m and tab\tand delete \x7f",
    "astral \U0001f512 combining e\u0301\u0301\u0301 wide \uff1cb\uff1e \u0130",
    '=HYPERLINK("https://x.example","open")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1+1)",
    "\t=1+1",
    "\uff1d1+1",
    "x" * 32_768,
    "word " * 6_000,
    "  ",
    "constructor",
    "__proto__",
    "hasOwnProperty",
    "%3Cb%3E%00#explore?q=x&open=y|z",
    "pipe|tilde~hash#question?percent%41plus+amp&equals=",
    "0",
    "null",
)
PAYLOADS = (*MARKUP, *TEXTS)


@dataclass(frozen=True)
class Page:
    """A report to look at: ``html`` is the page, ``json`` the report.json of the same run."""

    name: str
    html: Path
    json: Path


def make_pages(folder: Path) -> list[Page]:
    """Make all pages; those of estates that differ in what a page has to cope with."""
    return [
        example(folder / "example"),
        hostile(folder / "hostile"),
        empty(folder / "empty"),
        many(folder / "many", MANY_VMS),
        compliant(folder / "compliant"),
    ]


def example(folder: Path) -> Page:
    """Return the example estate, compared with a run whose parameters were others, and with that in its trend."""
    shared = [
        *("--inventory", str(EXAMPLES / "estate"), "--config", str(EXAMPLES / "auditor.yaml")),
        *("--exemptions", str(EXAMPLES / "exemptions.yaml")),
    ]
    folder.mkdir()
    shared += ["--history", str(folder / "history")]
    earlier = folder / "earlier.json"
    changed = ["--param", "policy-daily-retention.days=1", "--param", "policy-runs-per-day.maximum=48"]
    _audit([*shared, "--as-of", "2026-10-31T06:00:00Z", *changed, "-o", str(earlier)])
    return _page(folder, [*shared, "--as-of", AS_OF, "--baseline", str(earlier)])


def hostile(folder: Path) -> Page:
    """Return an estate in which everything that somebody else can name is named by an attacker."""
    inventory = folder / 'estate"><img src=x onerror=window.__xss=1>'
    inventory.mkdir(parents=True)
    built = building.estate()
    for number, text in enumerate(PAYLOADS):
        _add_hostile(built, number, text)
    resources = [json.dumps(resource) for resource in built.resources]
    names = [text.replace("/", "\u2215").replace("\0", "\x01").encode("utf-8", "replace")[:150] for text in MARKUP]
    names += [b"\xff\xfe not UTF-8", "\u202egnp\u200b".encode(), b"\x1b[31mred", b"=1+1"]
    for number, name in enumerate(names):
        # Raw line breaks and the like are escaped by JSON; what is left over is in the last file.
        rows = resources[number :: len(names)]
        path = inventory / (name + b".json").decode("utf-8", "surrogateescape")
        path.write_text(f'{{"value": [{", ".join(rows)}]}}', encoding="utf-8")
    (inventory / "broken <img src=x onerror=window.__xss=1>.json").write_text('{"value": [', encoding="utf-8")
    config = folder / "auditor.yaml"
    config.write_text(yaml.safe_dump(_hostile_config()), encoding="utf-8")
    exemptions = folder / "exemptions.yaml"
    exemptions.write_text(yaml.safe_dump(_hostile_exemptions()), encoding="utf-8")
    attestations = folder / "attestations.yaml"
    attestations.write_text(yaml.safe_dump(_hostile_attestations()), encoding="utf-8")
    history = folder / "history"
    (history / "runs").mkdir(parents=True)
    for name in names:
        (history / "runs" / name.decode("utf-8", "surrogateescape")).write_text("x", encoding="utf-8")
    given = ["--inventory", str(inventory), "--config", str(config), "--exemptions", str(exemptions)]
    given += ["--attestations", str(attestations), "--history", str(history)]
    return _page(folder, [*given, "--as-of", building.NOW])


def _add_hostile(built: building.EstateBuilder, number: int, whole: str) -> None:
    # What is very long is so in the VM only: in every place it would make a page that takes minutes to lay out.
    text, short = whole[:400], whole[:200]
    subscription = f"{number:08x}-0000-4000-8000-000000000000"
    group = building.group_id(text, subscription) if number % 2 else building.group_id(f"rg-{number}", subscription)
    vault = f"{group}/providers/Microsoft.RecoveryServices/vaults/{text}"
    policy = f"{vault}/backupPolicies/{text}"
    vm = f"{group}/providers/Microsoft.Compute/virtualMachines/{text}"
    built.add(
        {"id": f"/subscriptions/{subscription}", "type": "Microsoft.Resources/subscriptions", "displayName": text}
    )
    built.add(
        {"id": group, "name": text, "type": "Microsoft.Resources/subscriptions/resourceGroups", "tags": {short: text}}
    )
    built.vault(text, "GeoRedundant" if number % 3 else "LocallyRedundant", id=vault, location=text, tags={short: text})
    schedule = building.DAILY if number % 4 else building.hourly(text, text)
    built.policy(text, schedule, id=policy, backupManagementType="AzureIaasVM", timeZone=text)
    built.vm(whole, id=vm, location=whole, tags={short: whole, text[:60]: short}, provisioningState=whole)
    if number % 3:
        state = "Protected" if number % 2 else text
        own = f"{vault}/backupFabrics/Azure/protectionContainers/{text}/protectedItems/VM;{text}"
        built.item(text, state, id=own, sourceResourceId=vm, policyId=policy, friendlyName=text, lastBackupStatus=text)
    # With an id like any other, and with one that means nothing.
    if number % 4 == 0:
        built.vm(text, id=f"{building.group_id()}/providers/Microsoft.Compute/virtualMachines/plain-{number}")
    built.add({"id": text, "name": text, "type": "Microsoft.Compute/virtualMachines", "location": text})
    built.add({"id": building.vm_id(f"odd-{number}"), "name": text, "type": text, "location": text})


def _hostile_config() -> dict[str, Any]:
    reasons = [text for text in PAYLOADS if text.isprintable() and text.strip()]
    excluded = [
        {"reason": text, "field": "vm.name", "like": f"plain-{number}"} for number, text in enumerate(reasons[:8])
    ]
    organisation = f'{MARKUP[1]} "><img src=x onerror={RAN}>'
    return {"organisation": organisation, "intents": {"default": "azure"}, "scope": {"exclude": excluded}}


def _written_texts() -> list[str]:
    """Return what can stand in a file that people write."""
    return [text for text in PAYLOADS if text.strip() and not any("\ud800" <= char <= "\udfff" for char in text)]


def _hostile_attestations() -> list[dict[str, Any]]:
    return [
        {
            "framework": "nist-800-53",
            "control": "CP-9(1)" if number % 2 else "CP-4",
            "statement": text[:400],
            "by": text[:400],
            "date": "2026-06-01",
            "expires": "2026-09-01" if number % 3 else "2026-06-02",
            "evidence": text[:400],
        }
        for number, text in enumerate(_written_texts())
    ]


def _hostile_exemptions() -> list[dict[str, Any]]:
    return [
        {
            "id": f"EX-{number} {text[:400]}",
            "rule": "vm-protected",
            "scope": {"subscription": f"/subscriptions/{number:08x}-0000-4000-8000-000000000000"}
            if number % 2
            else {"tag": {"name": text[:200], "value": text}},
            "category": "waiver",
            "reason": text,
            "owner": text[:400],
            "approver": text[:400],
            "ticket": text[:400],
            "created": "2026-06-01T00:00:00Z",
            "expires": "2026-09-01T00:00:00Z",
        }
        for number, text in enumerate(_written_texts())
    ]


def empty(folder: Path) -> Page:
    """Return an estate in which nothing is."""
    inventory = folder / "estate"
    inventory.mkdir(parents=True)
    (inventory / "nothing.json").write_text('{"value": []}', encoding="utf-8")
    return _page(folder, ["--inventory", str(inventory), "--as-of", AS_OF])


def many(folder: Path, vms: int) -> Page:
    """Return an estate with more findings and verdicts than a page shows at once."""
    synthetic.write(folder / "estate", vms)
    return _page(folder, ["--inventory", str(folder / "estate"), "--primary-endpoint", "azure", "--as-of", AS_OF])


def compliant(folder: Path) -> Page:
    """Return an estate of which nothing fails and nothing is unknown, under the rules of one framework."""
    built = building.estate().vault().policy().vm("web").item("web").job("web").whole()
    kept = [resource for resource in built.resources if resource["name"] != "spare"]
    inventory = folder / "estate"
    inventory.mkdir(parents=True)
    (inventory / "estate.json").write_text(json.dumps({"value": kept}), encoding="utf-8")
    rules = "vm-protected,vault-redundancy-matches-intent,policy-runs-per-day,policy-daily-retention,vault-soft-delete"
    given = ["--inventory", str(inventory), "--primary-endpoint", "azure", "--select", rules, "--framework", "mcsb"]
    complete = ["--complete", "virtual_machines,vaults,backup_policies,protected_items,backup_jobs,resource_groups"]
    return _page(folder, [*given, *complete, "--as-of", building.NOW])


def _page(folder: Path, arguments: list[str]) -> Page:
    folder.mkdir(exist_ok=True)
    page = Page(folder.name, folder / "report.html", folder / "report.json")
    _audit([*arguments, "-o", str(page.html), "-o", str(page.json)])
    return page


def _audit(arguments: list[str]) -> None:
    done = subprocess.run(
        [AUDITOR, "audit", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        cwd=ROOT / "tests",
    )
    if done.returncode not in (0, 1, 3):
        raise RuntimeError(f"auditor ends with {done.returncode}: {done.stdout[-2000:]}")


def write_oracle(page: Page, path: Path) -> None:
    """Write every verdict of a report.json by itself, with its texts as they are shown, to compare Explore with."""
    report = json.loads(page.json.read_bytes())
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for resource in report["resources"]:
        by_kind.setdefault(resource["kind"], []).append(resource)
    findings = {(finding["rule"], finding["resource"]): finding for finding in report["findings"]}
    names = {entry["id"].lower(): entry["name"] for entry in report["coverage"]["subscriptions"]}
    verdicts = [
        _verdict(rule, resource, WORDS[letter], findings.get((rule["id"], resource["id"])), names)
        for rule in report["rules"]
        for resource, letter in zip(by_kind.get(rule["resource"], []), report["outcomes"][rule["id"]], strict=True)
    ]
    oracle = {"verdict": report["summary"]["verdict"], "verdicts": verdicts}
    path.write_text(json.dumps(_shown(oracle)), encoding="utf-8")


def _verdict(
    rule: dict[str, Any],
    resource: dict[str, Any],
    outcome: str,
    finding: dict[str, Any] | None,
    names: dict[str, str],
) -> dict[str, Any]:
    own = finding or {}
    evidence = [
        entry | {"value": None if entry["value"] is None else show(entry["value"])} for entry in own.get("evidence", [])
    ]
    return {
        **{key: resource[key] for key in ("id", "kind", "name", "subscription", "location", "source")},
        "group": resource["resource_group"],
        "subscription_name": names.get((resource["subscription"] or "").lower(), ""),
        "rule": rule["id"],
        "title": rule["title"],
        "severity": rule["severity"],
        "fix": " ".join(rule["fix"].splitlines()),
        "outcome": outcome,
        "exempt": own.get("exempt", False),
        "exempt_reason": (own.get("exemption") or {}).get("reason", "").rstrip("."),
        "baseline": own.get("baseline"),
        "message": own.get("message", ""),
        "expected": own.get("expected", ""),
        "observed": own.get("observed", ""),
        "fingerprint": own.get("fingerprint", ""),
        "evidence": evidence,
    }


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [_shown(entry) for entry in value]
    if isinstance(value, dict):
        return {key: _shown(entry) for key, entry in value.items()}
    return value
