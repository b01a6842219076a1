"""The database: SQLite in the data folder, or what DATABASE_URL names. See docs/database.md."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Config, Flask, current_app
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.wrappers import Response

from flask_secure import Problem, StartupError

from . import data, database_url, errors, health, migrate

log = logging.getLogger(__name__)


class Model(DeclarativeBase):
    """The base of tables. Constraints have names, by which a migration can change them."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


# hide_parameters: logs have no values of rows.
db = SQLAlchemy(engine_options={"pool_pre_ping": True, "hide_parameters": True})
migrations = migrate.Migrations(metadatas=Model.metadata, run_mkdir=False)


def init_app(app: Flask) -> None:
    """Set up the database of `app`, and answer 503 while it is unavailable.

    Raises StartupError for a DATABASE_URL that could not work, and for a database that an update
    would leave behind.
    """
    problems = list(database_url.check_url(app.config)) or list(database_url.check_place(app))
    if problems:
        raise StartupError(*problems)
    if database_url.file_in_data_folder(app.config):
        data.create_data_folder(app.config)
    url = database_url.engine_url(app.config)
    options = {"url": url, "connect_args": database_url.connect_args(url)}
    app.config["SQLALCHEMY_ENGINES"] = {"default": options}
    app.config["ALEMBIC_CONTEXT"] = migrate.OPTIONS | app.config.get("ALEMBIC_CONTEXT", {})
    db.init_app(app)
    migrations.init_app(app)
    health.require(app, check)
    app.register_error_handler(sa.exc.DBAPIError, unavailable)
    app.register_error_handler(sa.exc.TimeoutError, unavailable)


def check_settings(config: Config) -> Iterator[Problem]:
    """What `flask doctor` says of the database, besides its own."""
    wrong = list(database_url.check_url(config))
    yield from wrong
    yield from data.check_modes(data.data_folder(config))
    if wrong:
        return
    url = database_url.engine_url(config)
    if database_url.is_file(url):
        yield from data.check_modes(*database_url.files_of(Path(str(url.database))))


@sa.event.listens_for(sa.Engine, "do_connect")
def create_file(dialect: sa.Dialect, _: object, arguments: list[Any], __: object) -> None:
    """Make SQLite's file for the service's user alone, before it has content.

    The two that SQLite adds have the same mode.
    """
    if dialect.name != "sqlite" or str(arguments[0]).startswith((":memory:", "file:")):
        return
    with suppress(OSError):  # SQLite itself says what it can't open
        data.create_private_file(Path(arguments[0]))


@sa.event.listens_for(sa.Engine, "connect")
def configure_sqlite(connection: Any, _: object) -> None:
    """Let readers and a writer work at once, and check foreign keys, which SQLite does not."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")


def check() -> None:
    """Ask the database, on a new connection, within seconds. Raises DBAPIError if that fails."""
    url = db.engine.url
    arguments = database_url.connect_args(url)
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=arguments)
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))


def unavailable(error: sa.exc.SQLAlchemyError) -> Response:
    """Answer 503 while the database is unavailable or busy; other errors are the service's own."""
    if "no such" in str(error) or isinstance(error, sa.exc.ProgrammingError):
        error.add_note("Is a table or a column missing? Run: flask db upgrade")
    elif is_about_connection(error) and not current_app.debug:
        log.error("the database is unavailable: %s", error)
        return errors.handle(ServiceUnavailable("The database is unavailable.", retry_after=5))
    raise error


def is_about_connection(error: sa.exc.SQLAlchemyError) -> bool:
    """Whether the database could not be asked, or has ended the connection."""
    kinds = sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError
    return isinstance(error, kinds) or bool(getattr(error, "connection_invalidated", False))
