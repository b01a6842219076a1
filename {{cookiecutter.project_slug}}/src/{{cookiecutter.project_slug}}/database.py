"""The database: SQLite in the instance folder, or what DATABASE_URL names. A table's class derives from `Model`."""

import logging
import sqlite3
from typing import Any

import sqlalchemy as sa
from flask import Flask, current_app
from flask_alembic import Alembic
from flask_sqlalchemy_lite import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.wrappers import Response

log = logging.getLogger(__name__)

# What libpq waits for: seconds to connect, milliseconds for an answer to what it has sent.
TIMEOUTS: dict[str, dict[str, object]] = {"postgresql": {"connect_timeout": 2, "tcp_user_timeout": 5000}}


class Model(DeclarativeBase):
    """What the classes of tables derive from. Constraints have names, by which a migration can change them."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


db = SQLAlchemy(engine_options={"pool_pre_ping": True, "hide_parameters": True})  # no values in logs
migrations = Alembic(metadatas=Model.metadata, run_mkdir=False)
logging.getLogger("alembic").handlers.clear()  # Flask-Alembic's own, which would say each line twice


def init_app(app: Flask) -> None:
    """Set up the database of `app`, and answer 503 while it is away."""
    url = sa.make_url(app.config["DATABASE_URL"])
    if url.get_backend_name() in TIMEOUTS:
        url = url.set(drivername="postgresql+psycopg")
    options = {"url": url, "connect_args": TIMEOUTS.get(url.get_backend_name(), {})}
    app.config["SQLALCHEMY_ENGINES"] = {"default": options}
    db.init_app(app)
    migrations.init_app(app)
    app.register_error_handler(sa.exc.DBAPIError, unavailable)
    app.register_error_handler(sa.exc.TimeoutError, unavailable)


@sa.event.listens_for(sa.Engine, "connect")
def configure_sqlite(connection: Any, _: object) -> None:
    """Let readers and a writer work side by side, and check foreign keys, which SQLite does not by itself."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA foreign_keys = ON")


def check() -> None:
    """Ask the database, on a new connection, within seconds. Raises sqlalchemy.exc.DBAPIError while it is away."""
    url = db.engine.url
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=TIMEOUTS.get(url.get_backend_name(), {}))
    with engine.connect() as connection:
        connection.execute(sa.text("SELECT 1"))


def unavailable(error: sa.exc.SQLAlchemyError) -> Response | Any:
    """Answer 503 while the database is away or busy; any other of its errors is one of the service."""
    is_away = isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError)
    if "no such" in str(error) or isinstance(error, sa.exc.ProgrammingError):
        error.add_note("Is a table or a column missing? Run: flask db upgrade")
    elif not current_app.debug and (is_away or getattr(error, "connection_invalidated", False)):
        log.error("the database is away: %s", error)
        return current_app.handle_http_exception(ServiceUnavailable("The database is away.", retry_after=5))
    raise error
