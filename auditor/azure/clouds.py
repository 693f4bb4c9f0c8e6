"""Azure's clouds: where each is reached, and for what a token is asked there."""

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from auditor.errors import UsageError
from auditor.yaml_source import did_you_mean


@dataclass(frozen=True, slots=True)
class Cloud:
    """One of Azure's clouds.

    Attributes:
        name: as it is chosen and reported.
        endpoint: of Resource Manager, without a trailing slash.
        authority: of the identity platform, without a trailing slash.
        scope: what a token for Resource Manager is asked for.
        own: a stand-in or a private cloud: nothing is asked of the public list of authorities.
    """

    name: str
    endpoint: str
    authority: str
    scope: str
    own: bool = False


# https://learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure
# https://learn.microsoft.com/azure/china/resources-developer-guide
CLOUDS = {
    cloud.name: cloud
    for cloud in (
        Cloud(
            "public",
            "https://management.azure.com",
            "https://login.microsoftonline.com",
            "https://management.azure.com/.default",
        ),
        Cloud(
            "us-government",
            "https://management.usgovcloudapi.net",
            "https://login.microsoftonline.us",
            "https://management.core.usgovcloudapi.net/.default",
        ),
        Cloud(
            "china",
            "https://management.chinacloudapi.cn",
            "https://login.chinacloudapi.cn",
            "https://management.chinacloudapi.cn/.default",
        ),
    )
}


def cloud_named(name: str, endpoint: str | None = None, authority: str | None = None) -> Cloud:
    """Return a cloud, perhaps with Resource Manager and identity platform somewhere else.

    Raises:
        UsageError: there is no such cloud, or an address is not one.
    """
    cloud = CLOUDS.get(name)
    if cloud is None:
        raise UsageError(f"there is no cloud {name}", did_you_mean(name, tuple(CLOUDS)))
    if endpoint is None:
        return cloud
    return replace(
        cloud,
        name=f"{name} at {urlsplit(_address(endpoint)).hostname}",
        endpoint=_address(endpoint),
        authority=_address(authority) if authority is not None else cloud.authority,
        own=True,
    )


def _address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.username:
        raise UsageError(f"{text} is no address of a cloud", "Give it as https://HOST: tokens go over TLS only.")
    return text.rstrip("/")
