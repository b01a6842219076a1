"""A database for each test: SQLite, or one on the server that TEST_DATABASE_URL names.

The migrations run once. Each test gets a copy of what they have made.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa

SERVER = os.environ.get("TEST_DATABASE_URL", "")


@pytest.fixture(scope="session")
def migrated(service: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database with the tables of the models, from which each test's is copied."""
    folder = tmp_path_factory.mktemp("migrated")
    with new_database(folder) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        app = service.create_app("testing")
        with app.app_context():
            app.extensions["alembic"].upgrade()
            app.extensions["sqlalchemy"].engine.dispose()
        yield url


@pytest.fixture
def database(migrated: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a database that this test has for itself."""
    with new_database(tmp_path, like=migrated) as url:
        yield url


@pytest.fixture(autouse=True)
def own_data(environ: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test meets the files of development."""
    monkeypatch.setenv("DATA_FOLDER", str(tmp_path / "data"))


@pytest.fixture(autouse=True)
def own_database(environ: None, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test meets the database of development, and none leaves a connection open."""
    engines: set[sa.Engine] = set()

    def remember(connection: sa.Connection) -> None:
        engines.add(connection.engine)

    monkeypatch.setenv("DATABASE_URL", database)
    sa.event.listen(sa.Engine, "engine_connect", remember)
    yield
    sa.event.remove(sa.Engine, "engine_connect", remember)
    for engine in engines:
        engine.dispose()


@contextmanager
def new_database(folder: Path, like: str = "") -> Iterator[str]:
    """The URL of a new database, empty or with what is in the one at the URL `like`."""
    if not SERVER:
        path = folder / "test.sqlite"
        if like:
            shutil.copyfile(sa.make_url(like).database or "", path)
        yield f"sqlite:///{path}"
        return
    url = sa.make_url(SERVER).set(drivername="postgresql+psycopg")
    name = f"test_{secrets.token_hex(8)}"
    template = f" TEMPLATE {sa.make_url(like).database}" if like else ""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}{template}"))
        yield url.set(database=name).render_as_string(hide_password=False)
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
