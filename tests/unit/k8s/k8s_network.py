"""What a set of NetworkPolicies lets through, by the rules of the Kubernetes API reference.

A pod that no policy selects for a direction is open in that direction; a selected pod lets through what any of its
policies allows. A connection needs the sender's egress and the receiver's ingress.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """An end of a connection: a pod with its labels and its namespace's, or an address outside of the cluster.

    `governed` says that the policies are of this pod's namespace and so may select it.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: Mapping[str, str] = field(default_factory=dict)
    governed: bool = False
    address: str = ""


def leaves(policies: Sequence[Policy], sender: Place, receiver: Place, port: int, protocol: str = "TCP") -> bool:
    """Whether the sender's side lets a connection to `port` of `receiver` out."""
    return _passes(policies, sender, receiver, port, protocol, "Egress")


def enters(policies: Sequence[Policy], sender: Place, receiver: Place, port: int, protocol: str = "TCP") -> bool:
    """Whether the receiver's side lets a connection of `sender` to `port` in."""
    return _passes(policies, receiver, sender, port, protocol, "Ingress")


def _passes(
    policies: Sequence[Policy], selected: Place, other: Place, port: int, protocol: str, direction: str
) -> bool:
    if not selected.governed:
        return True
    applying = [
        policy["spec"]
        for policy in policies
        if direction in policy["spec"]["policyTypes"] and _selects(policy["spec"]["podSelector"], selected.labels)
    ]
    if not applying:
        return True
    peers = "to" if direction == "Egress" else "from"
    return any(
        _port_matches(rule.get("ports"), port, protocol) and _peer_matches(rule.get(peers), other)
        for spec in applying
        for rule in spec.get(direction.lower()) or ()
    )


def _port_matches(ports: Sequence[Mapping[str, Any]] | None, port: int, protocol: str) -> bool:
    if not ports:
        return True
    return any(
        entry.get("protocol", "TCP") == protocol
        and ("port" not in entry or entry["port"] <= port <= entry.get("endPort", entry["port"]))
        for entry in ports
    )


def _peer_matches(peers: Sequence[Mapping[str, Any]] | None, other: Place) -> bool:
    return not peers or any(_one_peer_matches(peer, other) for peer in peers)


def _one_peer_matches(peer: Mapping[str, Any], other: Place) -> bool:
    if "ipBlock" in peer:
        return bool(other.address) and _in_block(peer["ipBlock"], other.address)
    if other.address:
        return False
    if "namespaceSelector" in peer:
        if not _selects(peer["namespaceSelector"], other.namespace):
            return False
    elif not other.governed:
        return False
    return _selects(peer.get("podSelector", {}), other.labels)


def _in_block(block: Mapping[str, Any], address: str) -> bool:
    where = ip_address(address)
    return where in ip_network(block["cidr"]) and not any(where in ip_network(hole) for hole in block.get("except", ()))


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    wanted = selector.get("matchLabels", {})
    return wanted.items() <= labels.items() and all(
        _expression_holds(expression, labels) for expression in selector.get("matchExpressions", ())
    )


def _expression_holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", ())
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case operator:
            raise ValueError(f"{operator} is no operator of a label selector")
