"""What only a person can or should do: recipes, by rule and by what stands in the way."""

from collections.abc import Sequence

AGENT_WINDOWS = (
    (
        "Windows: download the agent (https://aka.ms/WindowsAzureVMAgent) in the VM, run it as administrator"
        " (msiexec /i WindowsAzureVmAgent.msi /quiet), and see that the service WindowsAzureGuestAgent runs."
    ),
    "Then tell Azure that it is there: Update-AzVM with OSProfile.AllowExtensionOperations = true.",
)
AGENT_LINUX = (
    (
        "Linux: install the distribution's own package, walinuxagent (Debian, Ubuntu) or WALinuxAgent (RHEL, SUSE), and"
        " start it: systemctl enable --now walinuxagent (or waagent)."
    ),
    "Check it: waagent --version in the VM, and the VM's page in the portal says Ready within some minutes.",
)
_AGENT = (
    (
        "Without the agent backups are crash-consistent at best, or fail. Images of the gallery have it; a VM that was"
        " migrated, or made from a disk, gets it by hand:"
    ),
    *AGENT_WINDOWS,
    *AGENT_LINUX,
    "A VM that is stopped reports nothing: start it and audit again before installing anything.",
)
RESUME = (
    (
        "Look first at what would expire: az backup recoverypoint list --vault-name VAULT --resource-group GROUP"
        " --container-name CONTAINER --item-name ITEM. Resuming applies the policy's retention to the kept points."
    ),
    "A soft-deleted item is undeleted first: az backup protection undelete, with the same names.",
    (
        "Resume it with a policy that keeps at least as long: az backup protection resume --policy-name POLICY, the"
        " same names."
    ),
)
LOCKED_REDUNDANCY = (
    (
        "The redundancy of a vault that holds items is locked. Create a second vault with the right one (auditor plan"
        " does it for VMs without backup) and protect new VMs there."
    ),
    (
        "To move a protected VM: stop its protection and keep the data, move the VM to another resource group, which"
        " makes it another VM to Azure, and protect it in the new vault. The old points stay till they expire."
    ),
    "Or accept it: an exemption with an owner and an end, or another declaration of what the vault is for.",
)
_FAILED_BACKUPS = (
    (
        "See why they fail: az backup job list --vault-name VAULT --resource-group GROUP --status Failed, then"
        " az backup job show with its name. Error codes: https://aka.ms/azurevmbackuperrors"
    ),
    "Mend the cause, then take one at once with auditor plan --trigger-backup, or wait for the schedule.",
)
_BY_RULE: dict[str, Sequence[str]] = {
    "vm-agent-installed": _AGENT,
    "vm-allows-extensions": (
        (
            "Allow extensions: az vm update --ids VM --set osProfile.allowExtensionOperations=true. Find out first who"
            " switched them off, and why."
        ),
    ),
    "backup-on-schedule": _FAILED_BACKUPS,
    "backup-within-rpo": _FAILED_BACKUPS,
    "last-backup-succeeded": _FAILED_BACKUPS,
    "job-success-ratio": _FAILED_BACKUPS,
}


def recipe_of(rule: str, fix: str) -> list[str]:
    """Return what a person does about a rule: its recipe, else how the rule itself says to fix it."""
    return list(_BY_RULE.get(rule) or [" ".join(fix.split())])
