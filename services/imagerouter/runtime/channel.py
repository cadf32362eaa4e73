"""Channels to our own services: name resolution, balancing, keepalive, and retries for reads only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import grpc
import grpc.aio

from imagerouter.runtime import names
from imagerouter.runtime.calls import ObservedChannel
from imagerouter.runtime.health import ACCEPTING
from imagerouter.runtime.streams import cancelled_after

__all__ = ["cancelled_after", "open_channel", "service_config"]

_SCHEMES: Final = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:", "xds:")
_RETRY_POLICY: Final = {
    "maxAttempts": 3,
    "initialBackoff": "0.05s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def open_channel(
    target: str,
    *,
    retry_reads: Sequence[str] = (),
    max_message_bytes: int = 512 * 1024,
    default_timeout_s: float | None = None,
    health_service: str = ACCEPTING,
    keepalive_s: float = 30.0,
    keepalive_timeout_s: float = 10.0,
    credentials: grpc.ChannelCredentials | None = None,
) -> grpc.aio.Channel:
    """Open a channel; close it with `async with` or `await channel.close()`. Connections are made when first needed.

    Args:
        target: `host:port`, which is resolved by DNS and balanced over all addresses, or a gRPC target with its scheme.
        retry_reads: full paths ("/package.Service/Method") of unary reads to be retried on UNAVAILABLE, three attempts
            in all. Never list what costs money: UNAVAILABLE does not say that nothing was done.
        max_message_bytes: the largest message sent or received, in bytes.
        default_timeout_s: for calls that give none; the deadline of the work at hand shortens it all the same.
        health_service: watch this entry of each address's health and leave those that are not serving. By default that
            is whoever began to drain; empty watches nothing, and then a call may be lost when a server stops.
        keepalive_s: how long a connection with calls may be silent before the server is pinged; gRPC takes a second at
            least, and a server cuts off who pings more often than it allows.
        keepalive_timeout_s: how long the server may take to answer before its calls fail.
        credentials: TLS; plaintext without.

    """
    address = target if target.startswith(_SCHEMES) else f"dns:///{target}"
    options = [
        *_options(max_message_bytes, round(keepalive_s * 1000), round(keepalive_timeout_s * 1000)),
        ("grpc.service_config", json.dumps(service_config(retry_reads, health_service=health_service))),
    ]
    inner = (
        grpc.aio.insecure_channel(address, options=options)
        if credentials is None
        else grpc.aio.secure_channel(address, credentials, options=options)
    )
    return ObservedChannel(inner, _server(address), default_timeout_s=default_timeout_s)


def service_config(retry_reads: Sequence[str] = (), *, health_service: str = "") -> dict[str, Any]:
    """Return gRPC's service config: round robin, and a retry policy for the listed methods alone."""
    config: dict[str, Any] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if retry_reads:
        paths = [path.removeprefix("/").split("/") for path in retry_reads]
        methods = [{"service": service, "method": method} for service, method in paths]
        config["methodConfig"] = [{"name": methods, "retryPolicy": _RETRY_POLICY}]
        config["retryThrottling"] = {"maxTokens": 10, "tokenRatio": 0.1}
    if health_service:
        config["healthCheckConfig"] = {"serviceName": health_service}
    return config


def _options(max_message_bytes: int, keepalive_ms: int, keepalive_timeout_ms: int) -> list[tuple[str, Any]]:
    """Return channel options. gRPC ignores names that it does not know: each has a test by its behaviour."""
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", keepalive_ms),
        ("grpc.keepalive_timeout_ms", keepalive_timeout_ms),
        ("grpc.http2.ping_timeout_ms", keepalive_timeout_ms),
        ("grpc.dns_min_time_between_resolutions_ms", 5_000),
        # A replica that restarts is found again within a second, not within two minutes.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        # Else a new channel inherits the connection, and its pause after a failure, of others to the same address.
        ("grpc.use_local_subchannel_pool", 1),
        # Retries silently stop for messages above this; the default is below our message limit.
        ("grpc.per_rpc_retry_buffer_size", 2 * max_message_bytes),
    ]


def _server(address: str) -> dict[str, str | int]:
    """Return `server.address` and `server.port` of a target, as far as it has them."""
    scheme, _, rest = address.partition(":")
    if scheme.startswith("unix"):
        return {names.SERVER_ADDRESS: rest}
    name = rest.rpartition("/")[2] if rest.startswith("//") else rest
    parts = urlsplit(f"//{name}")
    server: dict[str, str | int] = {names.SERVER_ADDRESS: parts.hostname or name}
    try:
        port = parts.port
    except ValueError:
        port = None
    return server | ({names.SERVER_PORT: port} if port else {})
