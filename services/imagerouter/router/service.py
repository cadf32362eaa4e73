"""RouterService: thin over the pure decision, with the decision on its span."""

from __future__ import annotations

from typing import Any

import grpc.aio
from opentelemetry import metrics, trace

from imagerouter.api.common.v1 import route_pb2
from imagerouter.api.router.v1 import router_service_pb2
from imagerouter.api.router.v1.router_service_pb2_grpc import RouterServiceServicer
from imagerouter.catalogue import Catalogue
from imagerouter.router.decide import route
from imagerouter.router.load import LoadedPolicy
from imagerouter.runtime import names

_tracer = trace.get_tracer(names.INSTRUMENTATION, schema_url=names.SCHEMA_URL)
_decisions = metrics.get_meter(names.INSTRUMENTATION, schema_url=names.SCHEMA_URL).create_counter(
    names.METRIC_ROUTE_DECISIONS, description="Decisions of the router."
)
_COUNTED = (names.DECISION_PROVIDER, names.DECISION_MODEL, names.DECISION_STEP, names.POLICY_VERSION)


class RouterService(RouterServiceServicer):
    """Answers by one policy over one catalogue, both fixed for the life of the process."""

    def __init__(self, loaded: LoadedPolicy, catalogue: Catalogue) -> None:
        self._loaded = loaded
        self._catalogue = catalogue

    async def Route(
        self,
        request: router_service_pb2.RouteRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> router_service_pb2.RouteResponse:
        """Rank the models that can do a task."""
        with _tracer.start_as_current_span(
            names.SPAN_ROUTE_DECIDE, record_exception=False, set_status_on_exception=False
        ) as span:
            decision = route(request, self._loaded.policy, self._catalogue)
            attributes = decision_attributes(decision)
            span.set_attributes(attributes)
        _decisions.add(1, {name: attributes[name] for name in _COUNTED})
        return router_service_pb2.RouteResponse(decision=decision)

    async def GetPolicy(
        self,
        request: router_service_pb2.GetPolicyRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> router_service_pb2.GetPolicyResponse:
        """Return the policy in force."""
        return router_service_pb2.GetPolicyResponse(
            version=self._loaded.policy.version,
            document=self._loaded.document,
            catalogue_version=self._catalogue.version,
            digest=self._loaded.digest,
        )


def decision_attributes(decision: route_pb2.Decision) -> dict[str, str | float | list[str] | list[float] | list[int]]:
    """Put a decision into span attributes: candidates, chosen, why, why not the others."""
    routes = decision.routes
    reason_of = route_pb2.ExclusionReason.Name
    return {
        names.DECISION_ID: decision.decision_id,
        names.DECISION_STEP: route_pb2.Step.Name(decision.step).removeprefix("STEP_"),
        names.DECISION_CANDIDATES: [f"{each.provider}/{each.model}" for each in routes],
        names.DECISION_P_ACCEPTS: [each.estimates.p_accept for each in routes],
        names.DECISION_COSTS_MICROS: [each.estimates.cost_micros for each in routes],
        names.DECISION_EXCLUSIONS: [
            f"{each.model}:{reason_of(each.reason).removeprefix('EXCLUSION_REASON_')}" for each in decision.exclusions
        ],
        names.DECISION_PROVIDER: routes[0].provider,
        names.DECISION_MODEL: routes[0].model,
        names.DECISION_TIER: routes[0].tier,
        names.DECISION_REASON: decision.reason,
        names.DECISION_RULES: list(decision.rule_ids),
        names.DECISION_CONFIDENCE: decision.confidence,
        names.DECISION_PROPENSITY: decision.propensity,
        names.POLICY_VERSION: decision.policy_version,
        names.CATALOGUE_VERSION: decision.catalogue_version,
    }
