"""The durable record of images, decisions, attempts, evaluations and costs, on SQLite or Postgres."""

from imagerouter.ledger.errors import InvalidState, LostLease, SchemaOutdated
from imagerouter.ledger.ledger import Ledger
from imagerouter.ledger.opening import open_ledger
from imagerouter.ledger.values import Claim, Created, Existing, PlannedAttempt, UnknownAttempt

__all__ = [
    "Claim",
    "Created",
    "Existing",
    "InvalidState",
    "Ledger",
    "LostLease",
    "PlannedAttempt",
    "SchemaOutdated",
    "UnknownAttempt",
    "open_ledger",
]
