"""DATABASE_URL: what it means, and whether it can work. Nothing here connects to a database."""

import re
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from flask import Config, Flask

from flask_secure import Problem, quoted

from .data import data_folder

# Seconds to connect, and milliseconds for a response to what was sent: libpq's, for its drivers.
LIBPQ_TIMEOUTS: dict[str, object] = {"connect_timeout": 2, "tcp_user_timeout": 5000}
LIBPQ_DRIVERS = ("psycopg", "psycopg2")
EXAMPLE = "DATABASE_URL=postgresql://USER:PASSWORD@HOST/NAME"
IN_MEMORY = (None, "", ":memory:")


def engine_url(config: Config) -> sa.URL:
    """DATABASE_URL as SQLAlchemy reads it, with the driver that the project installs.

    A relative path of SQLite's is in the data folder. Raises ValueError or SQLAlchemyError.
    """
    url = sa.make_url(str(config["DATABASE_URL"]))
    if url.drivername in ("postgres", "postgresql"):  # the first is what many platforms set
        return url.set(drivername="postgresql+psycopg")
    if is_file(url):
        return url.set(database=str(data_folder(config) / str(url.database)))
    return url


def is_file(url: sa.URL) -> bool:
    """Whether `url` is of SQLite, in a file that has a path."""
    if url.get_backend_name() != "sqlite" or url.database in IN_MEMORY:
        return False
    return not str(url.database).startswith("file:")


def connect_args(url: sa.URL) -> dict[str, object]:
    """What the driver for `url` takes so that it does not wait for ever."""
    return LIBPQ_TIMEOUTS if url.get_driver_name() in LIBPQ_DRIVERS else {}


def check_url(config: Config) -> Iterator[Problem]:
    """Whether SQLAlchemy can work with DATABASE_URL. No message has a part of it."""
    try:
        url = engine_url(config)
    except (ValueError, sa.exc.SQLAlchemyError):
        message = "DATABASE_URL is not a URL that SQLAlchemy can read"
        yield Problem("database-url", message, f"Set it in this form: {EXAMPLE}")
        return
    if has_unescaped(url, str(config["DATABASE_URL"])):
        message = "DATABASE_URL has one of @ / ? # in its user or password, which ends it too early"
        yield Problem("database-url", message, "Percent-encode them: %40 %2F %3F %23")
        return
    yield from check_driver(url)


def has_unescaped(url: sa.URL, text: str) -> bool:
    """Whether the user or the password in `text` has a character that URLs use otherwise.

    `url` is what SQLAlchemy made of it. Other programs stop at such a character (RFC 3986, 3.2).
    """
    if url.get_backend_name() == "sqlite":
        return False
    authority = re.split("[/?#]", text.partition("://")[2])[0]
    if url.username is not None or url.password is not None:
        return authority.count("@") != 1
    return "@" in str(url.database)


def check_driver(url: sa.URL) -> Iterator[Problem]:
    """Whether the driver for `url` is installed, and works without asyncio."""
    fix = "uv sync --all-extras" if url.get_backend_name() == "postgresql" else "uv add THE-DRIVER"
    name = url.drivername
    try:
        engine = sa.create_engine(url, connect_args=connect_args(url))
    except (ImportError, AttributeError):  # the second of one that is there in part
        yield Problem("database-url", f"The driver of DATABASE_URL, {name}, is not installed", fix)
    except sa.exc.NoSuchModuleError:
        message = f"DATABASE_URL begins with {name}, which SQLAlchemy does not know"
        yield Problem("database-url", message, f"Set it in this form: {EXAMPLE}")
    except (TypeError, ValueError, sa.exc.SQLAlchemyError):
        message = f"SQLAlchemy can't use DATABASE_URL with the driver {name}"
        yield Problem("database-url", message, f"Set it in this form: {EXAMPLE}")
    else:
        if engine.dialect.is_async:
            message = f"The driver of DATABASE_URL, {name}, needs asyncio"
            yield Problem("database-url", message, f"Set it in this form: {EXAMPLE}")


def check_place(app: Flask) -> Iterator[Problem]:
    """Whether the database is still where a version before had it: in the instance folder."""
    new = file_in_data_folder(app.config)
    if new is None:
        return
    old = Path(app.instance_path, new.relative_to(data_folder(app.config)))
    if old.is_file() and not new.exists():
        message = f"The database is {old}, but its place is now {new}"
        there = " ".join(quoted(path) for path in files_of(old) if path.exists())
        folder = quoted(new.parent)
        fix = f"Stop the service, then: mkdir -p -m 700 {folder} && mv {there} {folder}"
        yield Problem("database-moved", message, fix)


def file_in_data_folder(config: Config) -> Path | None:
    """The file of SQLite's if DATABASE_URL gives it a relative path; else None."""
    url = sa.make_url(str(config["DATABASE_URL"]))
    if not is_file(url) or Path(str(url.database)).is_absolute():
        return None
    return data_folder(config) / str(url.database)


def files_of(path: Path) -> list[Path]:
    """The files of the SQLite database at `path`. The latest changes may be in the other two."""
    return [path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")]
