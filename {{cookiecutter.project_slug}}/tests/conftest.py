"""What the tests share: the service under test, and a client of it."""

import os
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

import pytest
from flask import Flask
from flask.testing import FlaskClient

PACKAGE = "{{ cookiecutter.project_slug }}"  # the service, so that no other test has to name it
# % if cookiecutter.data == "accounts"
pytest_plugins = ["database_fixtures", "accounts_fixtures"]  # a database and mails of its own
# % elif cookiecutter.data == "database"
pytest_plugins = ["database_fixtures"]  # each test has a database of its own
# % endif
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


@pytest.fixture
def app(service: ModuleType) -> Flask:
    """The service in the testing environment."""
    application: Flask = service.create_app("testing")
    return application


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    """A browser's part: `client.get("/")` gives a response, and the client keeps its cookies."""
    with app.test_client() as client:
        yield client
