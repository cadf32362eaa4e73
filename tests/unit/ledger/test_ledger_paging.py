"""Page tokens."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagerouter.ledger.paging import Cursor, decode, encode, page_size
from imagerouter.runtime.errors import InvalidField

TIMES = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
CURSOR = Cursor(datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC), "5f1c")


@given(TIMES, st.text(max_size=40), st.text(max_size=10), st.text(max_size=10))
def test_token_leads_back_to_its_place(time: datetime, image_id: str, tenant: str, state: str) -> None:
    """What was written is read, to the microsecond."""
    cursor = Cursor(time, image_id)
    assert cursor == decode(encode(cursor, tenant, state), tenant, state)


@given(st.text(max_size=80))
@example("")
@example("A")
@example(base64.urlsafe_b64encode(b"\xff" * 40).decode())
def test_anything_else_is_a_bad_field(token: str) -> None:
    """No text whatever fails in another way than INVALID_ARGUMENT with the field."""
    with pytest.raises(InvalidField) as caught:
        decode(token, "tenant", "")
    assert caught.value.metadata["field"] == "page_token"


@pytest.mark.parametrize("scope", [("other", ""), ("acme", "RUNNING"), ("acm", "e"), ("acme",)])
def test_token_is_bound_to_its_listing(scope: tuple[str, ...]) -> None:
    """A token of another tenant or filter is refused, also where the words run together the same."""
    with pytest.raises(InvalidField):
        decode(encode(CURSOR, "acme", ""), *scope)


def test_every_changed_byte_is_found() -> None:
    """A token that was tampered with or damaged is refused."""
    token = encode(CURSOR, "acme", "")
    data = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for place in range(len(data)):
        damaged = bytes(data[:place]) + bytes([data[place] ^ 1]) + bytes(data[place + 1 :])
        with pytest.raises(InvalidField):
            decode(base64.urlsafe_b64encode(damaged).decode().rstrip("="), "acme", "")


def test_page_size_has_a_default_and_a_limit() -> None:
    """0 means 20; 1 to 100 are taken; anything else names the field."""
    assert [page_size(0), page_size(1), page_size(100)] == [20, 1, 100]
    for size in (-1, 101):
        with pytest.raises(InvalidField, match="page_size"):
            page_size(size)
