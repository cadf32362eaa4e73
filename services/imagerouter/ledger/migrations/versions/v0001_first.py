"""The first schema: images, decisions, attempts, evaluations, events, hops.

Revision ID: 0001
Create Date: 2026-11-22
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make every table."""
    _images()
    _decisions()
    _attempts()
    _evaluations()
    _events()
    _hops()


def downgrade() -> None:
    """Refuse: without these tables nobody knows what was paid for."""
    raise RuntimeError("the first schema of the ledger cannot be taken back; drop the database by hand")


def _images() -> None:
    op.create_table(
        "images",
        sa.Column("image_id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("parent", sa.Text, nullable=False),
        sa.Column("reset", sa.Boolean, nullable=False),
        sa.Column("budget_micros", sa.BigInteger),
        sa.Column("task", sa.LargeBinary, nullable=False),
        sa.Column("caller", sa.LargeBinary, nullable=False),
        sa.Column("ending", sa.LargeBinary),
        sa.Column("error_reason", sa.Text, nullable=False),
        sa.Column("trace_id", sa.Text, nullable=False),
        sa.Column("create_time", _TIME, nullable=False),
        sa.Column("deadline", _TIME, nullable=False),
        sa.Column("cancel_time", _TIME),
        sa.Column("end_time", _TIME),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("lease_until", _TIME, nullable=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.CheckConstraint(
            "state IN ('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')", name=op.f("ck_images_state")
        ),
        sa.CheckConstraint("(state IN ('PENDING', 'RUNNING')) = (end_time IS NULL)", name=op.f("ck_images_end_time")),
        sa.CheckConstraint("(ending IS NULL) = (end_time IS NULL)", name=op.f("ck_images_ending")),
        sa.CheckConstraint("budget_micros >= 0", name=op.f("ck_images_budget")),
        sa.CheckConstraint("epoch >= 1", name=op.f("ck_images_epoch")),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_images")),
    )
    repeatable = sa.text("request_id != ''")
    op.create_index(
        op.f("uq_images_tenant_request_id"),
        "images",
        ["tenant", "request_id"],
        unique=True,
        sqlite_where=repeatable,
        postgresql_where=repeatable,
    )
    op.create_index(op.f("ix_images_tenant_create_time_image_id"), "images", ["tenant", "create_time", "image_id"])
    running = sa.text("state = 'RUNNING'")
    op.create_index(
        op.f("ix_images_running_lease_until"),
        "images",
        ["lease_until"],
        sqlite_where=running,
        postgresql_where=running,
    )


def _decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.Text, nullable=False),
        sa.Column("image_id", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("policy_version", sa.Text, nullable=False),
        sa.Column("catalogue_version", sa.Text, nullable=False),
        sa.Column("decision", sa.LargeBinary, nullable=False),
        sa.Column("create_time", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_decisions")),
        sa.UniqueConstraint("image_id", "sequence", name=op.f("uq_decisions_image_id_sequence")),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_decisions_image_id")),
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("attempt_id", sa.Text, nullable=False),
        sa.Column("image_id", sa.Text, nullable=False),
        sa.Column("decision_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reserved_micros", sa.BigInteger, nullable=False),
        sa.Column("cost_micros", sa.BigInteger, nullable=False),
        sa.Column("route", sa.LargeBinary, nullable=False),
        sa.Column("outcome", sa.LargeBinary),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("create_time", _TIME, nullable=False),
        sa.Column("send_time", _TIME),
        sa.Column("end_time", _TIME),
        sa.CheckConstraint("number >= 1", name=op.f("ck_attempts_number")),
        sa.CheckConstraint(
            "state IN ('PLANNED', 'SENT', 'SUCCEEDED', 'REJECTED', 'FAILED_CHARGED', 'UNKNOWN')",
            name=op.f("ck_attempts_state"),
        ),
        sa.CheckConstraint("reserved_micros >= 0", name=op.f("ck_attempts_reserved")),
        sa.CheckConstraint(
            "cost_micros = 0 OR (cost_micros > 0 AND state IN ('SUCCEEDED', 'FAILED_CHARGED'))",
            name=op.f("ck_attempts_cost"),
        ),
        sa.CheckConstraint("(state IN ('PLANNED', 'SENT')) = (outcome IS NULL)", name=op.f("ck_attempts_outcome")),
        sa.CheckConstraint("(outcome IS NULL) = (end_time IS NULL)", name=op.f("ck_attempts_end_time")),
        sa.CheckConstraint("state <> 'SENT' OR send_time IS NOT NULL", name=op.f("ck_attempts_sent")),
        sa.CheckConstraint("state <> 'PLANNED' OR send_time IS NULL", name=op.f("ck_attempts_planned")),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("image_id", "number", name=op.f("uq_attempts_image_id_number")),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_attempts_image_id")),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.decision_id"], name=op.f("fk_attempts_decision_id")),
    )
    unknown = sa.text("state = 'UNKNOWN'")
    op.create_index(
        op.f("ix_attempts_unknown_end_time"),
        "attempts",
        ["end_time"],
        sqlite_where=unknown,
        postgresql_where=unknown,
    )


def _evaluations() -> None:
    op.create_table(
        "evaluations",
        sa.Column("image_id", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("attempt_id", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("thresholds_version", sa.Text, nullable=False),
        sa.Column("evaluation", sa.LargeBinary, nullable=False),
        sa.Column("create_time", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("image_id", "sequence", name=op.f("pk_evaluations")),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_evaluations_image_id")),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.attempt_id"], name=op.f("fk_evaluations_attempt_id")),
    )
    op.create_index(op.f("ix_evaluations_attempt_id"), "evaluations", ["attempt_id"])


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("image_id", sa.Text, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("event", sa.LargeBinary, nullable=False),
        sa.Column("create_time", _TIME, nullable=False),
        sa.CheckConstraint("sequence >= 1", name=op.f("ck_events_sequence")),
        sa.PrimaryKeyConstraint("image_id", "sequence", name=op.f("pk_events")),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_events_image_id")),
    )


def _hops() -> None:
    op.create_table(
        "hops",
        sa.Column("hop_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("image_id", sa.Text, nullable=False),
        sa.Column("start_time", _TIME, nullable=False),
        sa.Column("hop", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("hop_id", name=op.f("pk_hops")),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_hops_image_id")),
    )
    op.create_index(op.f("ix_hops_image_id_start_time"), "hops", ["image_id", "start_time"])
