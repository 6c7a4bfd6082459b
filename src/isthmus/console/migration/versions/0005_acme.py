"""Attempts to get certificates."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """To this schema."""
    op.create_table(
        "acme_attempt",
        sa.Column("key", sa.String(260), primary_key=True),
        sa.Column("declared", sa.String(64), nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("failed_at", sa.String(32), nullable=False),
        sa.Column("next_at", sa.String(32), nullable=False),
    )
