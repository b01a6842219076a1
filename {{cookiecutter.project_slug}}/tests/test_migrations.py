"""Migrations: they agree with the models, go back and forth, and keep every row."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from click import ClickException
from flask import Flask


def test_migrations_and_models_agree(app: Flask) -> None:
    with app.app_context():
        assert app.extensions["alembic"].compare_metadata() == []


def test_migrations_go_back_and_forth(app: Flask) -> None:
    migrations = app.extensions["alembic"]
    with app.app_context():
        migrations.downgrade("base")
    with app.app_context():
        migrations.upgrade()
        assert not migrations.needs_upgrade()


# A table, one whose rows go with the table's, and one whose rows must not.
CREATE = """
    op.create_table(
        "parent",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(10)),
        sa.Column("code", sa.String(10)),
        sa.Column("extra", sa.String(10)),
    )
    for table, rule in (("child", "CASCADE"), ("strict_child", None)):
        op.create_table(
            table,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("parent_id", sa.Integer, nullable=False),
            sa.ForeignKeyConstraint(["parent_id"], ["parent.id"], f"fk_{table}", ondelete=rule),
        )
    op.execute("INSERT INTO parent VALUES (1, 'ann', 'a', 'x'), (2, 'bob', 'b', 'y')")
    op.execute("INSERT INTO child VALUES (1, 1), (2, 1), (3, 2)")
    op.execute("INSERT INTO strict_child VALUES (1, 1), (2, 2)")
"""
# Changes of `parent`, and what takes each back.
CHANGES = {
    "required": (
        'table.alter_column("name", existing_type=sa.String(10), nullable=False)',
        'table.alter_column("name", existing_type=sa.String(10), nullable=True)',
    ),
    "retyped": (
        'table.alter_column("code", existing_type=sa.String(10), type_=sa.Text())',
        'table.alter_column("code", existing_type=sa.Text(), type_=sa.String(10))',
    ),
    "dropped": (
        'table.drop_column("extra")',
        'table.add_column(sa.Column("extra", sa.String(10)))',
    ),
}
ROWS = {
    "parent": [(1, "ann", "a"), (2, "bob", "b")],
    "child": [(1, 1), (2, 1), (3, 2)],
    "strict_child": [(1, 1), (2, 2)],
}
MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {before!r}
branch_labels = {labels!r}
depends_on = None


def upgrade():
    {upgrade}


def downgrade():
    {downgrade}
"""


class Migrated:
    """The service with migrations of a test's own, which are on a branch of their own."""

    def __init__(self, service: ModuleType, folder: Path) -> None:
        self.service = service
        self.folder = folder
        self.last = ""
        self.write(CREATE)

    def write(self, upgrade: str, downgrade: str = "pass") -> str:
        """Write a migration after the last one, and give its revision."""
        revision = f"rows_{len(list(self.folder.glob('*.py')))}"
        text = MIGRATION.format(
            revision=revision,
            before=self.last or None,
            labels=() if self.last else ("rows",),
            upgrade=upgrade.strip(),
            downgrade=downgrade,
        )
        (self.folder / f"{revision}.py").write_text(text)
        self.last = revision
        return revision

    def upgrade(self) -> None:
        self.step("upgrade", f"rows@{self.last}")

    def step(self, name: str, target: str) -> None:
        self.app: Flask = self.service.create_app("testing")  # which has read no migration yet
        self.app.config["ALEMBIC"]["version_locations"] = [str(self.folder)]
        with self.app.app_context():
            getattr(self.app.extensions["alembic"], name)(target)

    def rows(self) -> dict[str, list[Any]]:
        return {
            "parent": self.ask("SELECT id, name, code FROM parent ORDER BY id"),
            "child": self.ask("SELECT id, parent_id FROM child ORDER BY id"),
            "strict_child": self.ask("SELECT id, parent_id FROM strict_child ORDER BY id"),
        }

    def ask(self, statement: str) -> list[Any]:
        with self.app.app_context():
            engine: sa.Engine = self.app.extensions["sqlalchemy"].engine
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(sa.text(statement))]

    @property
    def is_sqlite(self) -> bool:
        return str(self.app.config["DATABASE_URL"]).startswith("sqlite")


@pytest.fixture
def migrated_rows(service: ModuleType, tmp_path: Path) -> Migrated:
    """The service with three tables that have rows."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    migrated = Migrated(service, folder)
    migrated.upgrade()
    assert migrated.rows() == ROWS
    return migrated


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_column_keeps_every_row(migrated_rows: Migrated, change: str) -> None:
    """SQLite changes a column by dropping the table: with foreign keys on, rows would cascade."""
    up, down = CHANGES[change]
    batch = 'with op.batch_alter_table("parent") as table:\n        '
    migrated_rows.write(batch + up, batch + down)
    migrated_rows.upgrade()
    assert migrated_rows.rows() == ROWS
    migrated_rows.step("downgrade", "rows@-1")
    assert migrated_rows.rows() == ROWS
    migrated_rows.upgrade()
    assert migrated_rows.rows() == ROWS


def test_a_migration_that_breaks_a_foreign_key_changes_nothing(migrated_rows: Migrated) -> None:
    migrated_rows.write("op.execute(\"UPDATE parent SET name = 'changed'\")")
    migrated_rows.write('op.execute("INSERT INTO strict_child VALUES (3, 77)")')
    expected = ClickException if migrated_rows.is_sqlite else sa.exc.IntegrityError
    with pytest.raises(expected) as caught:
        migrated_rows.upgrade()
    assert "strict_child" in str(caught.value)
    assert migrated_rows.rows() == ROWS


TRIGGER = """CREATE TRIGGER {name} AFTER UPDATE ON {table} BEGIN SELECT id FROM parent; END"""
LOST = {
    "a view": "CREATE VIEW seen AS SELECT name FROM parent",
    "a trigger": TRIGGER.format(name="seen", table="parent"),
    "a trigger of another table": TRIGGER.format(name="seen", table="child"),
}


@pytest.mark.parametrize("kind", LOST)
def test_what_batch_mode_would_lose_is_named(migrated_rows: Migrated, kind: str) -> None:
    if not migrated_rows.is_sqlite:
        return  # PostgreSQL changes a column where it is
    migrated_rows.write(f'op.execute("{LOST[kind]}")')
    migrated_rows.upgrade()
    up, _ = CHANGES["required"]
    change = f'with op.batch_alter_table("parent") as table:\n        {up}'
    path = migrated_rows.folder / f"{migrated_rows.write(change)}.py"
    with pytest.raises(ClickException, match="seen"):
        migrated_rows.upgrade()
    assert migrated_rows.rows() == ROWS
    dropped = LOST[kind].partition(" seen ")[0].replace("CREATE", "DROP") + " seen"
    text = path.read_text().replace("with op", f'op.execute("{dropped}")\n    with op')
    restored = f'nullable=False)\n    op.execute("{LOST[kind]}")'
    path.write_text(text.replace("nullable=False)", restored))
    migrated_rows.upgrade()
    assert migrated_rows.rows() == ROWS
    assert migrated_rows.ask("SELECT count(*) FROM sqlite_master WHERE name = 'seen'") == [(1,)]
