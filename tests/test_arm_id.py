"""Azure resource ids: taken apart, or known to be none."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditor.arm_id import ArmId, is_subscription_id, parse_arm_id, subscription_in_url

GUID = "11111111-1111-1111-1111-111111111111"
SUBSCRIPTION = f"/subscriptions/{GUID}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/RG"
VAULT = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/Vault"
SEGMENTS = st.sampled_from(
    (
        "subscriptions",
        "SUBSCRIPTIONS",
        "resourceGroups",
        "providers",
        GUID,
        "rg",
        "vaults",
        "",
        " ",
        "ß",
        "İ",
        "a;b",
        "\ud800",
    ),
)


def parsed(text: str) -> ArmId:
    found = parse_arm_id(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "subscription", "group", "kind", "name"),
    [
        (SUBSCRIPTION, GUID, None, None, GUID),
        (GROUP, GUID, "RG", None, "RG"),
        (VAULT, GUID, "RG", "Microsoft.RecoveryServices/vaults", "Vault"),
        (f"{VAULT}/backupPolicies/daily", GUID, "RG", "Microsoft.RecoveryServices/vaults/backupPolicies", "daily"),
        (
            f"{SUBSCRIPTION}/providers/Microsoft.Authorization/policyAssignments/p",
            GUID,
            None,
            "Microsoft.Authorization/policyAssignments",
            "p",
        ),
        (
            "/providers/Microsoft.Management/managementGroups/root",
            None,
            None,
            "Microsoft.Management/managementGroups",
            "root",
        ),
        (GROUP.upper(), GUID, "RG", None, "RG"),
        (f"{SUBSCRIPTION}/resourceGroups", GUID, None, None, "resourceGroups"),
    ],
)
def test_an_id_is_taken_apart(
    text: str, subscription: str | None, group: str | None, kind: str | None, name: str
) -> None:
    assert parse_arm_id(text) == ArmId(text, subscription, group, kind, name)


def test_what_stands_around_an_id_is_left_out() -> None:
    assert parsed(f"  {VAULT}//\n") == parsed(VAULT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "//",
        "vm",
        GUID,
        "/subscriptions",
        "/subscriptions/",
        f"subscriptions/{GUID}",
        f"{SUBSCRIPTION}//resourceGroups/rg",
        f"//subscriptions/{GUID}",
        f"https://management.azure.com{SUBSCRIPTION}",
        "/resourceGroups/rg/providers/a/b/c",
        "Invalid",
    ],
)
def test_what_is_no_id_is_none(text: str) -> None:
    assert parse_arm_id(text) is None


def test_ids_are_compared_without_letter_case_and_shown_as_they_were_spelled() -> None:
    assert parsed(VAULT.upper()).key == parsed(VAULT).key == VAULT.lower()
    assert parsed(VAULT).text == VAULT
    assert parsed(f"{GROUP}/providers/a/b/straße").key != parsed(f"{GROUP}/providers/a/b/strasse").key


def test_the_vault_of_a_resource_is_cut_off() -> None:
    item = parsed(f"{VAULT}/backupFabrics/Azure/protectionContainers/c/protectedItems/i")
    assert item.vault == VAULT
    assert parsed(VAULT).vault == VAULT
    assert parsed(GROUP).vault is None
    assert parsed(f"{GROUP}/providers/Microsoft.RecoveryServices/vaults").vault is None
    # A resource group, too, may be called vaults.
    group = GROUP.rpartition("/")[0] + "/vaults"
    inside = parsed(f"{group}/providers/microsoft.RECOVERYSERVICES/vaults/v/backupPolicies/p")
    assert inside.vault == f"{group}/providers/microsoft.RECOVERYSERVICES/vaults/v"


@given(st.text() | st.lists(SEGMENTS).map("/".join) | st.lists(SEGMENTS).map(lambda parts: f"/{'/'.join(parts)}"))
@example("/subscriptions/a/resourceGroups")
@example("/subscriptions/a/providers")
@example("/subscriptions/a/providers/b")
@example("/providers/a/b/c/d")
def test_no_text_raises_and_an_id_is_one_again(text: str) -> None:
    found = parse_arm_id(text)
    if found is not None:
        assert parse_arm_id(found.text) == found
        assert found.text in text
        assert found.text.endswith(f"/{found.name}")
        assert found.name
        # Folded, it is the id of the same thing.
        assert parsed(found.key).key == found.key
        assert (parsed(found.key).resource_group is None) == (found.resource_group is None)
        assert found.vault is None or found.text.startswith(found.vault)


def test_the_id_of_a_subscription_is_a_guid() -> None:
    assert is_subscription_id(GUID)
    assert is_subscription_id("ABCDEF01-2345-6789-abcd-ef0123456789")
    for text in ("", "prod", GUID + "1", f" {GUID}", GUID.replace("-", ""), f"{{{GUID}}}", GUID.replace("1", "g")):
        assert not is_subscription_id(text)


@pytest.mark.parametrize(
    ("url", "subscription"),
    [
        (f"https://management.azure.com/subscriptions/{GUID}/providers/x?page=2", GUID),
        (f"https://management.azure.com/Subscriptions/{'ABCDEF01' + GUID[8:]}?page=2", f"abcdef01{GUID[8:]}"),
        (f"https://management.azure.com/subscriptions/{GUID}", GUID),
        ("https://management.azure.com/subscriptions?page=2", None),
        ("https://management.azure.com/subscriptions/short/x", None),
        (f"https://management.azure.com/subscriptions/{GUID}0/x", None),
        ("", None),
    ],
)
def test_a_link_names_the_subscription_that_it_stays_within(url: str, subscription: str | None) -> None:
    assert subscription_in_url(url) == subscription
