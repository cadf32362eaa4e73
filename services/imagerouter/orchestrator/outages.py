"""Models that are out of order for now, as this process has seen it.

Only what a provider says about the model or our account counts: a refusal, an invalid request or a rate limit is about
one request, and must never close a model to everybody else.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from imagerouter.api.common.v1 import attempt_pb2, route_pb2
from imagerouter.api.router.v1 import router_service_pb2 as router

_MODEL_WIDE = {attempt_pb2.OUTCOME_KIND_MODEL_UNAVAILABLE: "the provider says that the model is not there"}
_PROVIDER_WIDE = {
    attempt_pb2.OUTCOME_KIND_UNAUTHORIZED: "the provider does not accept our key",
    attempt_pb2.OUTCOME_KIND_QUOTA_EXHAUSTED: "our quota with the provider is used up",
}


class Outages:
    """What was seen, and until when it holds."""

    def __init__(self, seconds: float) -> None:
        self._for = timedelta(seconds=seconds)
        self._until: dict[tuple[str, str], tuple[datetime, str]] = {}

    def saw(self, route: route_pb2.Route, outcome: attempt_pb2.Outcome, now: datetime) -> None:
        """Take note of how an attempt ended."""
        if outcome.kind == attempt_pb2.OUTCOME_KIND_SUCCEEDED:
            self._until.pop((route.provider, route.model), None)
            self._until.pop((route.provider, ""), None)
        elif outcome.kind in _MODEL_WIDE:
            self._until[route.provider, route.model] = (now + self._for, _MODEL_WIDE[outcome.kind])
        elif outcome.kind in _PROVIDER_WIDE:
            self._until[route.provider, ""] = (now + self._for, _PROVIDER_WIDE[outcome.kind])

    def current(self, now: datetime) -> list[router.UnavailableModel]:
        """What is out of order at `now`, for the router."""
        self._until = {key: value for key, value in self._until.items() if value[0] > now}
        return [
            router.UnavailableModel(provider=provider, model=model, reason=reason)
            for (provider, model), (_, reason) in sorted(self._until.items())
        ]
