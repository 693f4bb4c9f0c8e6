"""Azure resource ids: taken apart with care, since even official examples are malformed."""

import re
from dataclasses import dataclass

from auditor.text import fold

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SUBSCRIPTION_IN_URL = re.compile(r"/subscriptions/([0-9a-f-]{36})(?:/|$|\?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ArmId:
    """A resource id in its parts, as Azure spelled them; a part that is not there is ``None``.

    Attributes:
        text: the whole id without a trailing slash.
        subscription: the subscription's id.
        resource_group: the name of the resource group.
        type: ``Namespace/type/subtype`` read off the id, or ``None`` for a group or a subscription.
        name: the last segment.
    """

    text: str
    subscription: str | None
    resource_group: str | None
    type: str | None
    name: str

    @property
    def key(self) -> str:
        """The id as it is compared."""
        return fold(self.text)

    def cut(self, segment: str) -> str | None:
        """Return the id of the ancestor named by ``segment`` and the name after it: ``cut("vaults")``."""
        parts = self.text.split("/")
        for index, part in enumerate(parts[:-1]):
            if part.lower() == segment and index + 1 < len(parts) and parts[index + 1]:
                return "/".join(parts[: index + 2])
        return None


def parse_arm_id(text: str) -> ArmId | None:
    """Take an id apart, or return ``None`` when it is none: not ``/subscriptions/...`` or ``/providers/...``."""
    text = text.strip().rstrip("/")
    parts = text.split("/")
    if len(parts) < 3 or parts[0] or parts[1].lower() not in ("subscriptions", "providers"):
        return None
    if not all(parts[1:]):
        return None
    subscription = group = None
    rest = parts[1:]
    if rest[0].lower() == "subscriptions":
        subscription, rest = rest[1], rest[2:]
        if len(rest) > 1 and rest[0].lower() == "resourcegroups":
            group, rest = rest[1], rest[2:]
    kind = None
    if len(rest) > 2 and rest[0].lower() == "providers":
        kind = "/".join([rest[1], *rest[2::2]])
    return ArmId(text, subscription, group, kind, parts[-1])


def is_subscription_id(text: str) -> bool:
    """Tell whether ``text`` is written as subscription ids are."""
    return _GUID.fullmatch(text) is not None


def subscription_in_url(url: str) -> str | None:
    """Return the folded subscription id that a link such as ``nextLink`` stays within, if it names one."""
    match = _SUBSCRIPTION_IN_URL.search(url)
    return fold(match[1]) if match else None
