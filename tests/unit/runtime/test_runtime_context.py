"""Tenants, deadlines, admission and peers: the small pure parts."""

from __future__ import annotations

import asyncio
import time

import grpc.aio
import pytest

from imagerouter.runtime import deadline
from imagerouter.runtime.admission import Admission
from imagerouter.runtime.clock import utc_now
from imagerouter.runtime.context import TENANT_KEY, current_tenant, peer_class, tenant_of, tenant_scope
from imagerouter.runtime.errors import InvalidField, Overloaded


class _Context:
    def __init__(self, *metadata: tuple[str, str | bytes]) -> None:
        self._metadata = grpc.aio.Metadata(*metadata)

    def invocation_metadata(self) -> grpc.aio.Metadata:
        return self._metadata


@pytest.mark.parametrize("tenant", ["a", "acme-2", "0" * 63])
def test_a_good_tenant(tenant: str) -> None:
    """A valid name is taken as it is."""
    assert tenant_of(_Context((TENANT_KEY, tenant))) == tenant  # type: ignore[arg-type]


def test_no_tenant_is_the_default() -> None:
    """A call that names none is for "default"."""
    assert tenant_of(_Context()) == "default"  # type: ignore[arg-type]


@pytest.mark.parametrize("tenant", ["", "-a", "A", "a_b", "a/b", "0" * 64, "../x", "a\n"])
def test_a_bad_tenant(tenant: str) -> None:
    """Anything else names the field and is not quoted."""
    with pytest.raises(InvalidField) as caught:
        tenant_of(_Context((TENANT_KEY, tenant)))  # type: ignore[arg-type]

    assert caught.value.metadata["field"] == TENANT_KEY


def test_two_tenants_are_none() -> None:
    """A call for two tenants is for nobody: a proxy may have appended one."""
    with pytest.raises(InvalidField):
        tenant_of(_Context((TENANT_KEY, "a"), (TENANT_KEY, "b")))  # type: ignore[arg-type]


async def test_tenant_scope_reaches_tasks() -> None:
    """Work begun in the block is for its tenant, and nothing after it is."""
    with tenant_scope("acme"):
        task = asyncio.create_task(_tenant())

    assert await task == "acme"
    assert current_tenant() is None


async def _tenant() -> str | None:
    return current_tenant()


def test_child_timeout_is_the_lesser() -> None:
    """A child gets what was asked for, or what is left less the reserve."""
    with deadline.deadline_scope(1.0):
        assert deadline.child_timeout(0.5) == 0.5
        assert deadline.child_timeout(None) == pytest.approx(1.0 - deadline.RESERVE_S, abs=0.02)
        assert deadline.child_timeout(9.0) == pytest.approx(1.0 - deadline.RESERVE_S, abs=0.02)
    assert deadline.child_timeout(None) is None


async def test_work_can_be_freed_of_its_deadline() -> None:
    """A task that outlives its call is begun without the call's deadline."""
    with deadline.deadline_scope(0.01), deadline.deadline_scope(None):
        task = asyncio.create_task(_time_left())

    assert await task is None


async def _time_left() -> float | None:
    return deadline.time_left()


def test_deadline_counts_down() -> None:
    """Time left goes below zero when the deadline is past."""
    with deadline.deadline_scope(0.01):
        time.sleep(0.02)
        left = deadline.time_left()

    assert left is not None
    assert left < 0


def test_admission_counts_by_method() -> None:
    """A method's limit is its own; a place is free again after use, also after a failure."""
    admission = Admission(2, {"Generate": 1}, 0.5)

    with admission.slot("/a.B/Generate"), admission.slot("/a.B/Other"), admission.slot("/a.B/Other"):
        assert admission.inflight() == 3
        with pytest.raises(Overloaded) as caught, admission.slot("/a.B/Generate"):
            pass
        with pytest.raises(Overloaded), admission.slot("/a.B/Other"):
            pass
    with pytest.raises(ZeroDivisionError), admission.slot("/a.B/Generate"):
        _ = 1 / 0

    assert admission.inflight() == 0
    assert caught.value.metadata == {"phase": "not_sent", "method": "a.B/Generate"}
    assert caught.value.retry_after_s == 0.5


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("ipv4:127.0.0.1:5", "loopback"),
        ("ipv6:%5B::1%5D:5", "loopback"),
        ("ipv6:[::1]:5", "loopback"),
        ("ipv4:10.1.2.3:5", "private"),
        ("ipv6:[fe80::1%25eth0]:5", "private"),
        ("ipv4:8.8.8.8:5", "public"),
        ("unix:/tmp/x", "unix"),
        ("unix:", "unix"),
        ("", "unknown"),
        ("ipv4:nonsense", "unknown"),
    ],
)
def test_peer_class(peer: str, expected: str) -> None:
    """Where a call came from is said without its address."""
    assert peer_class(peer) == expected


def test_clock_has_a_zone() -> None:
    """The wall clock is in UTC and says so."""
    assert utc_now().utcoffset() is not None
