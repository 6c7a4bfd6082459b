"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """To this schema."""
    _objects()
    _tokens()


def _objects() -> None:
    op.create_table(
        "fact", sa.Column("name", sa.String(64), primary_key=True), sa.Column("value", sa.Text, nullable=False)
    )
    op.create_table(
        "counter", sa.Column("name", sa.String(64), primary_key=True), sa.Column("value", _number, nullable=False)
    )
    op.create_table(
        "object",
        *(sa.Column(name, sa.String(63), primary_key=True) for name in ("tenant", "kind", "namespace", "name")),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("revision", _number, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("updated_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "revision",
        sa.Column("revision", _number, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("who", sa.String(255), nullable=False),
    )
    op.create_table(
        "change",
        sa.Column("revision", _number, sa.ForeignKey("revision.revision"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(260), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("diff", sa.Text, nullable=False),
    )
    op.create_index("change_by_key", "change", ["key", "revision"])
    op.create_table(
        "subject",
        sa.Column("subject", sa.String(160), primary_key=True),
        sa.Column("epoch", _number, nullable=False),
        sa.Column("revision", _number, nullable=False),
        sa.Column("left_regions", sa.Text, nullable=False),
    )


def _tokens() -> None:
    op.create_table(
        "api_token",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("expires_at", sa.String(32), nullable=True),
    )
    op.create_table(
        "join_token",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(63), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("created_by", sa.String(255), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("expires_at", sa.String(32), nullable=False),
        sa.Column("used_at", sa.String(32), nullable=True),
        sa.Column("used_by_key", sa.String(64), nullable=True),
    )
    op.create_table(
        "certificate",
        sa.Column("serial", sa.String(64), primary_key=True),
        sa.Column("uri", sa.String(512), nullable=False),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("issued_at", sa.String(32), nullable=False),
        sa.Column("expires_at", sa.String(32), nullable=False),
    )
    op.create_index("certificate_by_uri", "certificate", ["uri"])
    op.create_table(
        "audit",
        sa.Column("id", _number, primary_key=True, autoincrement=True),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("who", sa.String(255), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
