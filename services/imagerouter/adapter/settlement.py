"""What an attempt cost, and how long a provider may stay silent. Pure."""

from __future__ import annotations

from imagerouter.api.common.v1 import attempt_pb2, route_pb2
from imagerouter.catalogue import Model
from imagerouter.catalogue.pricing import cost_micros
from imagerouter.catalogue.sizing import TIER_EDGE


def settle(outcome: attempt_pb2.Outcome, route: route_pb2.Route, model: Model) -> None:
    """Fill in cost: nothing unless charged, the usage's price if there is usage, else the route's upper estimate."""
    outcome.cost_micros = 0
    outcome.cost_estimated = False
    if outcome.phase != attempt_pb2.PHASE_CHARGED:
        return
    outcome.cost_micros = route.estimates.upper_cost_micros
    outcome.cost_estimated = True
    if outcome.HasField("usage"):
        outcome.cost_micros = cost_micros(model, outcome.usage)
        outcome.cost_estimated = False


def read_timeout_s(route: route_pb2.Route, model: Model) -> float:
    """Return how long the provider may stay silent, in seconds: the catalogue's figure for the tier asked for.

    A size between two tiers takes the higher one's: a timeout that comes too early loses an image that is paid for.
    """
    parameters = route.parameters
    pixels = parameters.expected_width * parameters.expected_height
    tier = parameters.image_size or next((name for name, edge in TIER_EDGE.items() if edge * edge >= pixels), "")
    waits = {str(name): milliseconds for name, milliseconds in model.timeouts_ms.items()}
    return waits.get(tier, max(waits.values())) / 1000
