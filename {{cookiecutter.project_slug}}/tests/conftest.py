"""What the tests share: the service under test, and a client of it."""

# % if cookiecutter.data == "nothing"
import os
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import pytest
# % else
import os
import secrets
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa
# % endif
from flask import Flask
from flask.testing import FlaskClient

PACKAGE = "{{ cookiecutter.project_slug }}"  # the service, so that no other test has to name it
OURS = ("APP_ENV", "SECRET_KEY", "FLASK_", "TRUSTED_", "CREDENTIALS_DIRECTORY", "DOTENV_VARIABLES")


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests do not depend on the variables of the machine that they run on."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def service() -> ModuleType:
    """The service's package: `service.create_app("production")`."""
    return import_module(PACKAGE)


# % if cookiecutter.data == "nothing"
@pytest.fixture
def app(service: ModuleType) -> Flask:
    """The service in the testing environment."""
    application: Flask = service.create_app("testing")
    return application


# % else
@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    """A database that this test has for itself: SQLite, or one on the server that TEST_DATABASE_URL names."""
    if not (server := os.environ.get("TEST_DATABASE_URL")):
        yield f"sqlite:///{tmp_path}/test.sqlite"
        return
    url, name = sa.make_url(server).set(drivername="postgresql+psycopg"), f"test_{secrets.token_hex(8)}"
    with sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool).connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
        yield url.set(database=name).render_as_string(hide_password=False)
        connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(autouse=True)
def own_database(environ: None, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test meets the database of development."""
    monkeypatch.setenv("DATABASE_URL", database)


@pytest.fixture
def app(service: ModuleType) -> Iterator[Flask]:
    """The service in the testing environment, with the tables of its models."""
    application: Flask = service.create_app("testing")
    with application.app_context():
        application.extensions["alembic"].upgrade()
    yield application
    with application.app_context():
        application.extensions["sqlalchemy"].engine.dispose()


# % endif
@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    """A browser's part: `client.get("/")` gives a response, and the client keeps its cookies."""
    with app.test_client() as client:
        yield client
