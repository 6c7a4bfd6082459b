"""Events, alerts, silences, and what is sent to receivers of alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """To this schema."""
    op.create_table(
        "event",
        sa.Column("number", _Number, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("level", sa.String(8), nullable=False),
        sa.Column("subject", sa.String(160), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("key", sa.String(260), nullable=False),
    )
    op.create_index("event_by_subject", "event", ["subject", "number"])
    op.create_table(
        "alert",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("rule", sa.String(63), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("site", sa.String(63), nullable=False),
        sa.Column("namespace", sa.String(63), nullable=False),
        sa.Column("object", sa.String(260), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("fired_at", sa.Double, nullable=True),
        sa.Column("resolved_at", sa.Double, nullable=True),
    )
    op.create_index("alert_by_time", "alert", ["since"])
    op.create_table(
        "silence",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("matchers", sa.Text, nullable=False),
        sa.Column("starts", sa.Double, nullable=False),
        sa.Column("ends", sa.Double, nullable=False),
        sa.Column("author", sa.String(255), nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
    )
    op.create_table(
        "alert_group",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("policy", sa.String(260), nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("began", sa.Double, nullable=False),
        sa.Column("told_at", sa.Double, nullable=True),
        sa.Column("told", sa.Text, nullable=False),
    )
    op.create_table(
        "alert_delivery",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("receiver", sa.String(260), nullable=False),
        sa.Column("notification", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Double, nullable=False),
        sa.Column("ended", sa.Double, nullable=True),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_index("alert_delivery_by_time", "alert_delivery", ["created"])
