"""Which model makes an image: hard constraints, rules from a policy file, preference. Pure over what it is given."""

from imagerouter.router.decide import route
from imagerouter.router.load import LoadedPolicy, PolicyError, load_policy
from imagerouter.router.policy import Policy

__all__ = ["LoadedPolicy", "Policy", "PolicyError", "load_policy", "route"]
