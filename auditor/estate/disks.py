"""Which disks a backup item leaves out: its list of disks and the VM's own -> whether any is excluded, in words.

Shape: https://learn.microsoft.com/azure/backup/selective-disk-backup-restore (``diskExclusionProperties`` names the
logical unit numbers, LUNs, of data disks to back up or to leave out; the OS disk is always backed up).
"""

import json
from dataclasses import dataclass

from auditor.text import visible


@dataclass(frozen=True, slots=True)
class Disks:
    """What a list of disks comes to.

    Attributes:
        excluded: whether a disk is left out; ``None`` when it is not known.
        note: which ones; may be empty.
        reason: why it is not known; empty when it is.
    """

    excluded: bool | None
    note: str = ""
    reason: str = ""


def read_disks(exclusion: str, luns: str | None) -> Disks:
    """Work out which of a VM's data disks are left out.

    Args:
        exclusion: the JSON text of ``diskExclusionProperties``.
        luns: the JSON text of the list of the VM's LUNs; ``None`` when they are not known.
    """
    try:
        properties = json.loads(exclusion)
    except RecursionError:
        return Disks(None, reason="the list of disks is nested too deeply")
    named = properties.get("diskLunList") if isinstance(properties, dict) else None
    if not isinstance(named, list) or not all(isinstance(lun, int) and not isinstance(lun, bool) for lun in named):
        return Disks(None, reason=f"diskLunList is {_shown(named)}, not a list of LUNs")
    inclusion = properties.get("isInclusionList")
    if not isinstance(inclusion, bool):
        return Disks(None, reason=f"isInclusionList is {_shown(inclusion)}, so the list of disks could mean either")
    own = json.loads(luns) if luns is not None else None
    if inclusion and own is None:
        return Disks(None, reason="only listed disks are backed up, and which disks the VM has is not known")
    left_out = (
        sorted(set(own or ()) - set(named))
        if inclusion
        else [lun for lun in sorted(set(named)) if own is None or lun in own]
    )
    if not left_out:
        return Disks(excluded=False)
    which = f"LUN {left_out[0]}" if len(left_out) == 1 else f"LUNs {', '.join(map(str, left_out))}"
    if not inclusion:
        return Disks(excluded=True, note=f"Excluded: {which}.")
    only = f"only LUN {', '.join(map(str, sorted(named)))} and the OS disk are" if named else "only the OS disk is"
    return Disks(excluded=True, note=f"Not backed up: {which}; {only}.")


def _shown(value: object) -> str:
    return "missing" if value is None else f'"{visible(str(value))[:60]}"'
