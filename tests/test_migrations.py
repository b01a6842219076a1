"""Migrations: they lose no row, on SQLite and on PostgreSQL, and the template's stand beside an owner's."""

import re
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from support import SLUG, Project, clean_environ, production, run

pytestmark = pytest.mark.xdist_group("data")

MIGRATE = f"""
from {SLUG} import create_app
app = create_app()
migrations = app.extensions["alembic"]
for step, target in [(migrations.upgrade, "heads"), (migrations.upgrade, "heads"), (migrations.downgrade, "base")]:
    with app.app_context():
        print(migrations.compare_metadata())
    with app.app_context():
        step(target)
"""


def test_migrations_on_an_empty_and_on_a_filled_database(accounts: Project, url: str, tmp_path: Path) -> None:
    variables = production(DATABASE_URL=url)
    accounts.run("flask", "db", "upgrade", **variables)
    row = "INSERT INTO account (email, password_hash, stamp) VALUES ('ann@example.org', 'x', 'y')"
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute(row)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.close()
    else:
        run("psql", url, "-qc", row, cwd=tmp_path)
    output = accounts.run("python", "-c", MIGRATE, **variables)
    assert [line for line in output.splitlines() if line[0] == "["] == ["[]", "[]", "[]"]
    assert "Running downgrade 0001" in output
    accounts.run("flask", "db", "upgrade", **variables)


NOTES = """
from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from .database import Model


class Note(Model):
    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
"""
FILL = """
INSERT INTO account (id, email, password_hash, stamp) VALUES (1, 'ann@example.org', 'x', 'y');
INSERT INTO note (id, account_id) VALUES (1, 1), (2, 1);
"""
BROKEN = """
from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = depends_on = None


def upgrade():
    op.execute("CREATE TABLE half (id INTEGER)")
    op.execute("{deed}")
"""


class Migrated:
    """A service with a table whose rows go when the account goes, on a database that has such rows."""

    def __init__(self, accounts: Project, folder: Path, url: str) -> None:
        self.path, self.url, self.accounts = folder / SLUG, url, accounts
        shutil.copytree(accounts.path, self.path, ignore=shutil.ignore_patterns(".venv", ".git", ".*_cache"))
        self.package = self.path / "src" / SLUG
        (self.package / "notes.py").write_text(NOTES)
        wiring = self.package / "__init__.py"
        wiring.write_text(wiring.read_text().replace("health, pages\n", "health, notes, pages\n"))
        self.prepare()
        self.ask(FILL)

    def prepare(self) -> None:
        """Bring the database to the owner's first migration."""
        for words in ("upgrade", "revision notes", "upgrade"):
            self.flask("db", *words.split())

    def flask(self, *words: str, code: int = 0) -> str:
        env = clean_environ(PYTHONPATH=str(self.path / "src"), DATABASE_URL=self.url)
        return run(self.accounts.program("flask"), *words, cwd=self.path, env=env, code=code)

    def ask(self, statements: str) -> list[str]:
        """The rows that statements of SQL give."""
        if not self.url.startswith("sqlite"):
            return run("psql", self.url, "-Atqc", statements, cwd=self.path).split()
        connection = sqlite3.connect(self.url.removeprefix("sqlite:///"))
        rows = []
        for statement in statements.split(";"):
            rows += connection.execute(statement).fetchall()
        connection.commit()
        connection.close()
        return ["|".join(map(str, row)) for row in rows]

    def migration(self, text: str) -> Path:
        """The next migration, as its owner writes it."""
        (head,) = re.findall(r"(\w+) \(default\)", self.flask("db", "heads"))
        path = self.package / "migrations" / "9999_broken.py"
        path.write_text(text.replace("{head}", head))
        return path


ROWS = "SELECT id, email FROM account; SELECT id, account_id FROM note ORDER BY id"


def test_a_migration_of_a_table_keeps_the_rows_that_refer_to_it(accounts: Project, url: str, tmp_path: Path) -> None:
    """A column of the parent changes: on SQLite that copies the table, drops it and renames the copy."""
    migrated = Migrated(accounts, tmp_path, url)
    before = migrated.ask(ROWS)
    assert len(before) == 3
    models = migrated.package / "accounts" / "models.py"
    models.write_text(models.read_text().replace("mapped_column(String(200))", "mapped_column(String(300))"))
    migrated.flask("db", "revision", "longer hashes")
    (migration,) = migrated.package.glob("migrations/*longer*.py")
    assert 'batch_alter_table("account"' in migration.read_text().replace("'", '"')
    migrated.flask("db", "upgrade")
    assert migrated.ask(ROWS) == before
    migrated.flask("db", "downgrade")
    assert migrated.ask(ROWS) == before
    migrated.flask("db", "upgrade")
    assert migrated.ask(ROWS) == before


@pytest.mark.parametrize(
    "deed",
    [
        "DROP TABLE account",
        "DELETE FROM account",  # whose notes stay: nothing cascades while foreign keys are off
        "INSERT INTO note (id, account_id) VALUES (3, 77)",
        "INSERT INTO nothing VALUES (1)",
    ],
)
def test_a_migration_that_fails_on_sqlite_changes_nothing(accounts: Project, tmp_path: Path, deed: str) -> None:
    migrated = Migrated(accounts, tmp_path, f"sqlite:///{tmp_path}/data.sqlite")
    before = migrated.ask(ROWS)
    broken = migrated.migration(BROKEN.replace("{deed}", deed))
    output = migrated.flask("db", "upgrade", code=1)
    is_one_error = output.splitlines()[-1].startswith("Error: ") and "Traceback" not in output
    assert is_one_error == ("nothing" not in deed)  # where SQL is wrong, the traceback says where
    assert migrated.ask(ROWS) == before
    broken.write_text(broken.read_text().replace(deed, "DROP TABLE half"))
    migrated.flask("db", "upgrade")  # it is not stuck half-way
    assert migrated.ask(ROWS) == before


# The template's own further migrations, beside an owner's

OF_RELEASE_03 = """
import sqlalchemy as sa
from alembic import op

revision = "1790000000"
down_revision = "0002"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table(
        "note",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], op.f("fk_note_account_id_account"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_note")),
    )


def downgrade() -> None:
    op.drop_table("note")
"""
OF_THE_NEXT_RELEASE = """
import sqlalchemy as sa
from alembic import op

revision = "accounts_9999"
down_revision = "accounts_0004"
branch_labels = depends_on = None


def upgrade() -> None:
    op.create_table("account_next", sa.Column("id", sa.Integer(), nullable=False))


def downgrade() -> None:
    op.drop_table("account_next")
"""
OWN_MODEL = """

class Own(Model):
    __tablename__ = "own"

    id: Mapped[int] = mapped_column(primary_key=True)
"""
TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
}
# The commands of `flask db`, each with an application of its own, in one process: that is quicker.
STEPS = """
import sys
from flask.cli import cli
for words in sys.argv[1:]:
    cli.main(["db", *words.split()], standalone_mode=False)
"""
OWNERS = {"account", "note"}  # with the table that 0002 makes
SESSIONS = {"account_session", "account_deletion"}  # of accounts_0003
MAILS = {"account_mail"}  # of accounts_0004


class Beside(Migrated):
    """A database as release 0.3 left it: with an owner's migration after 0002, and none of the template's."""

    def prepare(self) -> None:
        (self.package / "migrations" / "1790000000_notes.py").write_text(OF_RELEASE_03)
        self.flask("db", "upgrade", "default@head")

    def tables(self) -> set[str]:
        rows = self.ask(TABLES[self.url.partition(":")[0]])
        return {row for row in rows if not row.startswith("alembic")}

    def step(self, *commands: str) -> None:
        variables = production(DATABASE_URL=self.url, FLASK_APP=SLUG, PYTHONPATH=str(self.path / "src"))
        env = clean_environ(**variables)
        output = run(self.accounts.program("python"), "-c", STEPS, *commands, cwd=self.path, env=env)
        assert "Traceback" not in output
        assert "Warning" not in output

    def upgrade(self) -> None:
        self.step("upgrade", "current --check-heads", "check")

    def write_own(self) -> None:
        """The owner writes one more migration, from a model, and applies it."""
        notes = self.package / "notes.py"
        notes.write_text(notes.read_text() + OWN_MODEL)
        self.step("revision own", "upgrade", "current --check-heads", "check")


def test_the_templates_migrations_stand_beside_the_owners(accounts: Project, url: str, tmp_path: Path) -> None:
    """`downgrade` takes back the newest: the template's, as long as the owner has written none after it."""
    beside = Beside(accounts, tmp_path, url)
    rows = beside.ask(ROWS)
    assert beside.tables() == OWNERS
    beside.upgrade()
    assert beside.tables() == OWNERS | SESSIONS | MAILS
    for tables in (OWNERS | SESSIONS, OWNERS):
        beside.step("downgrade")
        assert (beside.tables(), beside.ask(ROWS)) == (tables, rows)
    beside.upgrade()
    beside.write_own()
    assert (beside.tables(), beside.ask(ROWS)) == (OWNERS | SESSIONS | MAILS | {"own"}, rows)
    for tables in (OWNERS | SESSIONS | MAILS, OWNERS | SESSIONS, OWNERS):
        beside.step("downgrade")
        assert (beside.tables(), beside.ask(ROWS)) == (tables, rows)
    beside.step("downgrade")
    assert beside.tables() == {"account"}
    beside.upgrade()
    assert beside.tables() == OWNERS | SESSIONS | MAILS | {"own"}


def test_a_migration_of_the_next_release_stands_beside_the_owners(accounts: Project, tmp_path: Path) -> None:
    """The owner's last one depends on the template's last one of now."""
    beside = Beside(accounts, tmp_path, f"sqlite:///{tmp_path}/data.sqlite")
    beside.upgrade()
    beside.write_own()
    before, rows = beside.tables(), beside.ask(ROWS)
    (beside.package / "migrations" / "accounts_9999_next.py").write_text(OF_THE_NEXT_RELEASE)
    time.sleep(1)  # Flask-Alembic numbers revisions by the second
    beside.step("upgrade", "current --check-heads", "revision --empty more", "upgrade", "current --check-heads")
    assert (beside.tables(), beside.ask(ROWS)) == (before | {"account_next"}, rows)
    for tables in (before | {"account_next"}, before, before - {"own"}):
        beside.step("downgrade")
        assert (beside.tables(), beside.ask(ROWS)) == (tables, rows)
    beside.step("upgrade", "current --check-heads")


def test_what_alembic_refuses_is_said_in_a_line(accounts: Project, tmp_path: Path) -> None:
    migrated = Migrated(accounts, tmp_path, f"sqlite:///{tmp_path}/data.sqlite")
    migrated.flask("db", "downgrade")
    for words in ("revision more", "upgrade nothing", "downgrade 7", "stamp nothing"):
        output = migrated.flask("db", *words.split(), code=1)
        assert "Traceback" not in output
        assert output.splitlines()[-1].startswith("Error: ")


LOCKING = """
import subprocess, sys, time
import sqlalchemy as sa
url, flask = sys.argv[1:]
with sa.create_engine(url).connect() as connection:
    if url.startswith("sqlite"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("LOCK TABLE note IN ACCESS SHARE MODE")
    began = time.monotonic()
    result = subprocess.run([flask, "db", "upgrade"], capture_output=True, text=True)
    print(result.returncode, time.monotonic() - began < 15, result.stderr)
"""
CHANGE = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = depends_on = None


def upgrade():
    with op.batch_alter_table("note") as table:
        table.add_column(sa.Column("text", sa.String(10)))
"""


def test_a_migration_waits_seconds_for_a_lock_and_can_be_run_again(accounts: Project, url: str, tmp_path: Path) -> None:
    """On PostgreSQL an ALTER TABLE that waits makes every query of the table wait behind it."""
    migrated = Migrated(accounts, tmp_path, url)
    before = migrated.ask(ROWS)
    migrated.migration(CHANGE)
    engine = url.replace("postgresql:", "postgresql+psycopg:")
    env = clean_environ(PYTHONPATH=str(migrated.path / "src"), DATABASE_URL=url)
    python, flask = accounts.program("python"), accounts.program("flask")
    output = run(python, "-c", LOCKING, engine, flask, cwd=migrated.path, env=env)
    assert output.startswith("1 True ")
    assert "Traceback" not in output
    assert "Error: The database is in use" in output
    migrated.flask("db", "upgrade")
    assert migrated.ask(ROWS) == before
