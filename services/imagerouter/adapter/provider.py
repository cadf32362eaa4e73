"""What a provider is to the rest of the adapter: a client that turns one call into previews and one reply."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from imagerouter.api.common.v1 import attempt_pb2, route_pb2, task_pb2
from imagerouter.catalogue import Model


@dataclass(frozen=True)
class Picture:
    """An input image: its bytes and what they were found to be ("image/png")."""

    data: bytes
    media_type: str


@dataclass(frozen=True)
class Call:
    """One authorised execution with its inputs at hand.

    `references` has the base of an edit first. `read_timeout_s` is how long the provider may stay silent, in seconds.
    """

    attempt_id: str
    task: task_pb2.Task
    route: route_pb2.Route
    model: Model
    references: tuple[Picture, ...]
    mask: Picture | None
    previews: int
    read_timeout_s: float


@dataclass(frozen=True)
class PreviewPicture:
    """A picture in the making; `index` counts from 0."""

    index: int
    data: bytes


@dataclass(frozen=True)
class Reply:
    """How the call ended. `outcome` is complete but for artifacts, cost and timing; `images` are the decoded files."""

    outcome: attempt_pb2.Outcome
    images: tuple[bytes, ...] = ()


class Unsendable(Exception):
    """The call cannot be put into the provider's terms. Nothing was sent; the message is ours and quotes no prompt."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Provider(Protocol):
    """A provider's client. One per process, made in the running loop."""

    @property
    def name(self) -> str:
        """The name in `Route.provider`."""

    @property
    def telemetry_name(self) -> str:
        """The value of `gen_ai.provider.name`."""

    def operation(self, call: Call) -> str:
        """The value of `gen_ai.operation.name` for this call."""

    async def warm(self) -> None:
        """Load what the SDK loads lazily, without a byte to the network."""

    def generate(self, call: Call) -> AsyncGenerator[PreviewPicture | Reply, None]:
        """Send one request. The last item is the Reply; a failure of the provider is a Reply, not an exception."""

    async def close(self) -> None:
        """Close the connections."""
