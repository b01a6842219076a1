"""Sessions of accounts, and deletions."""

import sqlalchemy as sa
from alembic import op

revision = "accounts_0003"
down_revision = None
branch_labels = ("accounts",)  # the template's own migrations, beside those of the service
depends_on = "0002"


def upgrade() -> None:
    op.create_table(
        "account_session",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("stamp", sa.String(length=22), nullable=False),
        sa.Column("began", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("browser", sa.String(length=50), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["account.id"],
            name=op.f("fk_account_session_account_id_account"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_session")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_account_session_token_hash")),
    )
    for column in ("account_id", "began", "used"):
        op.create_index(op.f(f"ix_account_session_{column}"), "account_session", [column])
    op.create_table(
        "account_deletion",
        sa.Column("email_hash", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("email_hash", name=op.f("pk_account_deletion")),
    )
    op.create_index(op.f("ix_account_deletion_at"), "account_deletion", ["at"])


def downgrade() -> None:
    op.drop_table("account_deletion")
    op.drop_table("account_session")
