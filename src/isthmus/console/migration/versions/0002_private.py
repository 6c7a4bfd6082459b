"""Private values and the keys that they are sealed to."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "private_value",
        sa.Column("key", sa.String(260), primary_key=True),
        sa.Column("field", sa.String(64), primary_key=True),
        sa.Column("fingerprint", sa.String(32), primary_key=True),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "sealing_key",
        sa.Column("subject", sa.String(160), primary_key=True),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
    )
