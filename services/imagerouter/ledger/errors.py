"""What the ledger refuses, as members of the one exception family."""

from __future__ import annotations

from imagerouter.runtime.errors import PreconditionFailed, Unavailable


class InvalidState(PreconditionFailed):
    """A row is not in a state that allows the change: an attempt is sent or ended already, an image has ended.

    From `mark_sent` it means that the attempt must not be sent.
    """

    default_reason = "WRONG_STATE"


class LostLease(Unavailable):
    """Another replica owns the image now: its epoch is a later one. Stop working on it; nothing was written."""

    default_reason = "DEPENDENCY_UNAVAILABLE"


class SchemaOutdated(Unavailable):
    """The database's schema is older than this build needs, or not there. `Ledger.migrate` brings it up to date."""

    default_reason = "DEPENDENCY_UNAVAILABLE"
