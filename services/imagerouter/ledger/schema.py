"""The ledger's tables: the durable record of images, decisions, attempts, evaluations, events and hops.

Whole messages are kept as deterministic protobuf bytes; what is searched, summed or constrained has a column beside
them. Money is in millionths of a US dollar, times are UTC, states are the names of the protocol's enums without prefix.
`migrations/` makes these tables; a test holds the two together.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
)
from sqlalchemy.types import TypeDecorator


class UtcTime(TypeDecorator[datetime]):
    """A point in time. Takes and gives aware datetimes only, in microseconds; SQLite has no zone, so all is UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Turn an aware datetime into UTC. ValueError if it has no zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the ledger takes aware datetimes only")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give back the zone that SQLite could not keep."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

images = Table(
    "images",
    metadata,
    Column("image_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("request_id", Text, nullable=False),  # empty: the call is not repeatable
    Column("fingerprint", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("parent", Text, nullable=False),  # "images/{id}", empty: none
    Column("reset", Boolean, nullable=False),
    Column("budget_micros", BigInteger),  # null: no limit
    Column("task", LargeBinary, nullable=False),  # common.v1.Task
    Column("caller", LargeBinary, nullable=False),  # images.v1.Image with what the caller gave: labels
    Column("ending", LargeBinary),  # images.v1.Image with what ended it: artifacts, error
    Column("error_reason", Text, nullable=False),  # ErrorReason without prefix, empty: none
    Column("trace_id", Text, nullable=False),
    Column("create_time", UtcTime, nullable=False),
    Column("deadline", UtcTime, nullable=False),
    Column("cancel_time", UtcTime),
    Column("end_time", UtcTime),
    Column("owner", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("lease_until", UtcTime, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),  # of events
    CheckConstraint("state IN ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')", name="state"),
    CheckConstraint("(state IN ('PENDING', 'RUNNING')) = (end_time IS NULL)", name="end_time"),
    CheckConstraint("(ending IS NULL) = (end_time IS NULL)", name="ending"),
    CheckConstraint("budget_micros >= 0", name="budget"),
    CheckConstraint("epoch >= 1", name="epoch"),
)

# The conditions of the partial indices, with constants: Postgres plans a statement that it has seen a few times without
# its parameters, and then finds no index whose condition is `= $1`.
REPEATABLE = images.c.request_id != literal_column("''")
RUNNING = images.c.state == literal_column("'RUNNING'")

# An empty request_id never collides: only calls that are meant to be repeatable are in the index.
Index(
    "uq_images_tenant_request_id",
    images.c.tenant,
    images.c.request_id,
    unique=True,
    sqlite_where=REPEATABLE,
    postgresql_where=REPEATABLE,
)
Index("ix_images_tenant_create_time_image_id", images.c.tenant, images.c.create_time, images.c.image_id)
Index(
    "ix_images_running_lease_until",
    images.c.lease_until,
    sqlite_where=RUNNING,
    postgresql_where=RUNNING,
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", Text, primary_key=True),
    Column("image_id", Text, ForeignKey("images.image_id"), nullable=False),
    Column("sequence", BigInteger, nullable=False),  # of its event: the order within the image
    Column("step", Text, nullable=False),
    Column("provider", Text, nullable=False),  # of the chosen route
    Column("model", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("catalogue_version", Text, nullable=False),
    Column("decision", LargeBinary, nullable=False),  # common.v1.Decision, with propensity and confidence
    Column("create_time", UtcTime, nullable=False),
    UniqueConstraint("image_id", "sequence"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("attempt_id", Text, primary_key=True),
    Column("image_id", Text, ForeignKey("images.image_id"), nullable=False),
    Column("decision_id", Text, ForeignKey("decisions.decision_id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("step", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reserved_micros", BigInteger, nullable=False),
    Column("cost_micros", BigInteger, nullable=False),
    Column("route", LargeBinary, nullable=False),  # common.v1.Route
    Column("outcome", LargeBinary),  # common.v1.Outcome
    Column("epoch", BigInteger, nullable=False),  # of the owner that changed it last
    Column("create_time", UtcTime, nullable=False),
    Column("send_time", UtcTime),
    Column("end_time", UtcTime),
    UniqueConstraint("image_id", "number"),
    CheckConstraint("number >= 1", name="number"),
    CheckConstraint(
        "state IN ('PLANNED', 'SENT', 'SUCCEEDED', 'REJECTED', 'FAILED_CHARGED', 'UNKNOWN')",
        name="state",
    ),
    CheckConstraint("reserved_micros >= 0", name="reserved"),
    CheckConstraint(
        "cost_micros = 0 OR (cost_micros > 0 AND state IN ('SUCCEEDED', 'FAILED_CHARGED'))",
        name="cost",
    ),
    CheckConstraint("(state IN ('PLANNED', 'SENT')) = (outcome IS NULL)", name="outcome"),
    CheckConstraint("(outcome IS NULL) = (end_time IS NULL)", name="end_time"),
    CheckConstraint("state <> 'SENT' OR send_time IS NOT NULL", name="sent"),
    CheckConstraint("state <> 'PLANNED' OR send_time IS NULL", name="planned"),
)
UNKNOWN = attempts.c.state == literal_column("'UNKNOWN'")
Index(
    "ix_attempts_unknown_end_time",
    attempts.c.end_time,
    sqlite_where=UNKNOWN,
    postgresql_where=UNKNOWN,
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("image_id", Text, ForeignKey("images.image_id"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),  # of its event
    Column("attempt_id", Text, ForeignKey("attempts.attempt_id"), nullable=False),
    Column("verdict", Text, nullable=False),
    Column("thresholds_version", Text, nullable=False),
    Column("evaluation", LargeBinary, nullable=False),  # common.v1.Evaluation
    Column("create_time", UtcTime, nullable=False),
)
Index("ix_evaluations_attempt_id", evaluations.c.attempt_id)

events = Table(
    "events",
    metadata,
    Column("image_id", Text, ForeignKey("images.image_id"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),  # the name of the field that is set in the event's oneof
    # images.v1.ImageEvent. `accepted` and `ended` are empty inside and filled when read: the image's row has them, and
    # a prompt is kept in one place only.
    Column("event", LargeBinary, nullable=False),
    Column("create_time", UtcTime, nullable=False),
    CheckConstraint("sequence >= 1", name="sequence"),
)

hops = Table(
    "hops",
    metadata,
    Column("hop_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("image_id", Text, ForeignKey("images.image_id"), nullable=False),
    Column("start_time", UtcTime, nullable=False),
    Column("hop", LargeBinary, nullable=False),  # images.v1.Hop
)
Index("ix_hops_image_id_start_time", hops.c.image_id, hops.c.start_time)
