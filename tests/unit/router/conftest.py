"""Fixtures of the router's tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imagerouter.api.common.v1 import route_pb2
from imagerouter.api.router.v1 import router_service_pb2
from imagerouter.catalogue import Catalogue, load_catalogue
from imagerouter.router import Policy, load_policy, route

Decide = Callable[[router_service_pb2.RouteRequest], route_pb2.Decision]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The catalogue as shipped."""
    return load_catalogue()


@pytest.fixture(scope="session")
def policy(catalogue: Catalogue) -> Policy:
    """The policy as shipped."""
    return load_policy(catalogue).policy


@pytest.fixture(scope="session")
def decide(policy: Policy, catalogue: Catalogue) -> Decide:
    """The decision under the shipped policy and catalogue."""
    return lambda request: route(request, policy, catalogue)
