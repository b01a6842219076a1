"""An empty database. `flask db revision "what changes"` writes the next migration."""

revision = "0001"
down_revision = None
branch_labels = ("default",)  # which the next migration looks for
depends_on = None


def upgrade() -> None:
    """Nothing is there yet."""


def downgrade() -> None:
    """Nothing was there before."""
