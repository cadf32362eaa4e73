"""Where artifacts lie."""

import pytest

from imagerouter.runtime.errors import InvalidField
from imagerouter.storage.keys import object_key

DIGEST = "ab" + "0" * 62


def test_a_key_lies_under_the_tenant_and_the_first_two_digits() -> None:
    """The layout of the store is fixed: other tools (life-cycle rules, backups) rely on it."""
    assert object_key("acme", DIGEST, field="digest") == f"acme/sha256/ab/{DIGEST}"


@pytest.mark.parametrize(
    "tenant", ["", "-a", "Acme", "a" * 64, "a/b", "..", "a.b", "../../etc", "a\n", "a%2fb", "tenant\x00"]
)
def test_a_tenant_that_could_leave_its_prefix_is_refused(tenant: str) -> None:
    """No tenant name reaches another tenant's prefix."""
    with pytest.raises(InvalidField) as caught:
        object_key(tenant, DIGEST, field="digest")

    assert caught.value.fields[0].field == "tenant"


@pytest.mark.parametrize("digest", ["", "ab", "AB" + "0" * 62, "0" * 63, "0" * 65, "../" + "0" * 61, "0" * 63 + "\n"])
def test_a_malformed_digest_blames_the_callers_field(digest: str) -> None:
    """Only 64 lowercase hexadecimal digits name an artifact, and the error has the caller's own path."""
    with pytest.raises(InvalidField) as caught:
        object_key("acme", digest, field="references[0].artifact.digest")

    assert caught.value.fields[0].field == "references[0].artifact.digest"
