"""Which request is answered by what, which right it needs, and which api-versions it has."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from arm.web import Answer, Call

VAULTS = "/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.RecoveryServices/vaults"
V = f"{VAULTS}/{{v}}"
ITEM = f"{V}/backupFabrics/{{fabric}}/protectionContainers/{{container}}/protectedItems/{{item}}"
LOCATION = "/subscriptions/{s}/providers/Microsoft.RecoveryServices/locations/{location}"
RSV = "Microsoft.RecoveryServices/vaults"
_VERSION = re.compile(r"(\d{4}-\d{2}-\d{2})(-[a-z]+)?")
# The first and the last api-version of each provider; what lies between is taken for one of its versions.
_VERSIONS = {
    "microsoft.resources": ("2014-04-01", "2025-12-31"),
    "microsoft.authorization": ("2015-07-01", "2025-12-31"),
    "microsoft.compute": ("2015-06-15", "2027-12-31"),
    "microsoft.recoveryservices": ("2016-05-01", "2027-12-31"),
}


@dataclass(frozen=True)
class Route:
    """A request that is served.

    ``action`` is the right that it needs, empty for none; ``drop`` the segments at the end of the path that do not
    belong to the scope of that right, such as the name of a verb.
    """

    method: str
    template: str
    handler: Callable[[Call], Answer]
    action: str = ""
    drop: int = 0
    pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        parts = re.split(r"(\{\w+\})", self.template)
        text = "".join(f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part) for part in parts)
        object.__setattr__(self, "pattern", re.compile(f"{text}/?", re.IGNORECASE))

    @cached_property
    def provider(self) -> str:
        """The namespace that answers: the last one of the path."""
        _, _, rest = self.template.rpartition("/providers/")
        return rest.split("/")[0] if "/providers/" in self.template else "Microsoft.Resources"

    @property
    def type_name(self) -> str:
        """What the error about a version calls the type."""
        _, _, rest = self.template.rpartition("/providers/")
        return "".join(rest.split("/")[1:2]) if "/providers/" in self.template else ""

    def scope(self, path: str) -> str:
        parts = path.rstrip("/").split("/")
        return "/".join(parts[: len(parts) - self.drop])


def known_version(provider: str, version: str) -> bool:
    match = _VERSION.fullmatch(version)
    first, last = _VERSIONS.get(provider.lower(), ("2014-01-01", "2027-12-31"))
    return match is not None and first <= match[1] <= last


def versions_of(provider: str) -> str:
    """Return some api-versions of a provider, as errors list them."""
    first, last = _VERSIONS.get(provider.lower(), ("2014-01-01", "2027-12-31"))
    return f"{last}, {first}"
