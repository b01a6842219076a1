"""Migrations that lose no row, on SQLite too. docs/database.md says how to write one."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import sqlalchemy as sa
from click import ClickException

# As it is imported, Alembic logs each of its plugins, which would be eight lines at every start.
logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)

from alembic.script import Script  # noqa: E402
from alembic.util import CommandError  # noqa: E402
from flask_alembic import Alembic  # noqa: E402

# The branch of the owner's migrations. The template's further ones have branches of their own.
OWN_BRANCH = "default"
# How long a migration waits for a table on PostgreSQL: what comes after it has to wait, too.
LOCK_TIMEOUT = "5s"
LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's code for a wait that was too long
# How the copies are called that Alembic makes of tables whose columns change on SQLite.
COPY_PREFIX = "_alembic_tmp_"
OPTIONS = {
    "transactional_ddl": True,  # SQLite has it if the transaction begins explicitly
    "render_as_batch": True,  # SQLite can't alter a column; elsewhere it changes nothing
}


class Migrations(Alembic):
    """Flask-Alembic, with a transaction around a run, and a branch for each author."""

    def __init__(self, **kwargs: Any) -> None:
        """The same as Flask-Alembic's, but for the handlers that it gives two loggers.

        It adds them where no logging is set up yet: their lines would not be JSON.
        """
        loggers = [logging.getLogger(name) for name in ("alembic", "sqlalchemy")]
        before = [list(logger.handlers) for logger in loggers]
        super().__init__(**kwargs)
        for logger, handlers in zip(loggers, before, strict=True):
            logger.handlers[:] = [each for each in logger.handlers if each in handlers]

    def run_migrations(self, fn: Callable[..., Any], **kwargs: Any) -> None:
        """Run migrations in one transaction, which is rolled back if one of them fails."""
        with ExitStack() as stack:
            stack.enter_context(readable_errors())
            for context in self.migration_contexts.values():
                if context.connection is not None:
                    stack.enter_context(prepared(context.connection))
            super().run_migrations(fn, **kwargs)

    def needs_upgrade(self) -> bool:
        """Whether a migration is not applied. The database names no heads that others depend on."""
        heads = {script.revision for script in self.heads(resolve_dependencies=True)}
        return {script.revision for script in self.current()} != heads

    def revision(
        self,
        message: str,
        empty: bool = False,
        branch: str = OWN_BRANCH,
        parent: Any = "head",
        splice: bool = False,
        depend: Any = None,
        label: Any = None,
        path: str | None = None,
    ) -> list[Script | None]:
        """Write a migration after the last one of `branch`, which depends on those of the others.

        The models were compared with a database that has those. And so `downgrade` knows which of
        two heads is the newer one.
        """
        if not depend and list(parent) in (["head"], list("head")):
            heads = self.heads(resolve_dependencies=True)
            others = [script.revision for script in heads if branch not in script.branch_labels]
            depend = others or None
        with readable_errors():
            return super().revision(message, empty, branch, parent, splice, depend, label, path)

    def downgrade(self, target: int | str | Script = -1) -> None:
        """Take back the last migration, as many as `target` says, or all after `target`."""
        if isinstance(target, int) or re.fullmatch(r"-\d+", str(target)):
            target = f"{newest_branch(self.current())}{target}"
        super().downgrade(target)


def newest_branch(heads: tuple[Script, ...]) -> str:
    """What tells Alembic from which of the `heads` to count, such as "accounts@".

    The owner's migrations depend on what was there when they were written. So if the template's
    head stands beside the owner's, it came after it. Raises ClickException for more heads.
    """
    if len(heads) < 2:
        return ""
    others = [script for script in heads if OWN_BRANCH not in script.branch_labels]
    if len(others) == 1:
        return f"{min(others[0].branch_labels)}@"
    labels = sorted(label for script in others for label in script.branch_labels)
    commands = " or ".join(f"flask db downgrade {label}@-1" for label in labels)
    raise ClickException(f"Several branches have a last migration. Run: {commands}")


@contextmanager
def readable_errors() -> Iterator[None]:
    """Raise ClickException for what Alembic and the database refuse: one line says all of it."""
    try:
        yield
    except CommandError as error:
        fix = " Run: flask db upgrade" if "not up to date" in str(error) else ""
        raise ClickException(f"{error}{fix}") from error
    except sa.exc.OperationalError as error:
        if not is_locked(error):
            raise
        message = f"The database is in use: {error.orig}"
        raise ClickException(f"{message}. Nothing was changed: run it again later.") from error


def is_locked(error: sa.exc.OperationalError) -> bool:
    """Whether the migration gave up waiting for a lock of another process."""
    is_postgresqls = getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE
    return is_postgresqls or "database is locked" in str(error.orig)


@contextmanager
def prepared(connection: sa.Connection) -> Iterator[None]:
    """Prepare `connection` for migrations, whatever database it is to."""
    prepare = {"sqlite": without_foreign_keys, "postgresql": with_lock_timeout}
    if connection.dialect.name not in prepare:
        yield
        return
    with prepare[connection.dialect.name](connection):
        yield


@contextmanager
def with_lock_timeout(connection: sa.Connection) -> Iterator[None]:
    """Let a migration wait LOCK_TIMEOUT for a table, not for as long as the longest transaction."""

    def set_timeout(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")

    connection.commit()  # ends what reading the current revision has begun
    sa.event.listen(connection, "begin", set_timeout)
    try:
        yield
    finally:
        sa.event.remove(connection, "begin", set_timeout)


@contextmanager
def without_foreign_keys(connection: sa.Connection) -> Iterator[None]:
    """Let tables on this connection to SQLite be dropped and copied: so their columns change.

    While foreign keys are on, DROP TABLE deletes the rows that refer to the table. The PRAGMA does
    nothing inside a transaction, so it comes before. The transaction begins explicitly: sqlite3
    begins one for INSERT and UPDATE only, and what fails half-way would leave tables behind.
    Before it is committed, foreign keys are checked.
    See https://sqlite.org/lang_altertable.html, section 7.
    """
    before: set[tuple[Any, ...]] = set()

    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # a second migration waits for the first
        before.update(violations(connection))

    def check(connection: sa.Connection) -> None:
        if broken := violations(connection) - before:
            connection.exec_driver_sql("ROLLBACK")  # which an exception here would not do
            raise violated(broken)

    connection.commit()  # ends what reading the current revision has begun
    connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
    connection.commit()
    sa.event.listen(connection, "begin", begin)
    sa.event.listen(connection, "commit", check)
    try:
        yield
    finally:
        sa.event.remove(connection, "begin", begin)
        sa.event.remove(connection, "commit", check)
        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        connection.commit()


def violations(connection: sa.Connection) -> set[tuple[Any, ...]]:
    """Rows that refer to missing ones: the table, the row, the parent, the number of the key."""
    rows = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    return {tuple(row) for row in rows}


def violated(broken: set[tuple[Any, ...]]) -> ClickException:
    """The error for rows that refer to missing ones, which names the tables and the rows."""
    rows: dict[tuple[str, str], list[str]] = {}
    for table, row, parent, _ in sorted(broken, key=str):
        rows.setdefault((table, parent), []).append(str(row))
    said = []
    for (table, parent), numbers in rows.items():
        more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
        named = ", ".join(numbers[:5])
        said.append(f"in {table}, rows {named}{more} refer to missing rows of {parent}")
    fix = "Nothing was changed: correct the migration or the rows, and run it again."
    return ClickException(f"The migration breaks foreign keys: {'; '.join(said)}. {fix}")


@sa.event.listens_for(sa.Table, "before_drop")
def reject_what_batch_mode_loses(table: sa.Table, connection: sa.Connection, **_: Any) -> None:
    """Raise ClickException if Alembic is about to replace `table`, and something depends on it.

    SQLite drops the triggers of a table with it, without a word, and the copy can't get the
    table's name while a view or another trigger names it.
    """
    if connection.dialect.name != "sqlite":
        return
    schema = connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_master").all()
    if not any(name.startswith(COPY_PREFIX) for _, name, _ in schema):
        return  # the migration drops the table for good
    word = re.compile(rf"\b{re.escape(table.name)}\b", re.IGNORECASE)
    lost = []
    for kind, name, sql in schema:
        if kind in ("trigger", "view") and word.search(sql):
            lost.append(f"{kind} {name}")
    if lost:
        message = f"To change {table.name}, SQLite copies it, which these do not survive"
        fix = 'in the migration, op.execute("DROP ...") them before and create them after'
        raise ClickException(f"{message}: {', '.join(lost)}. Nothing was changed: {fix}.")
