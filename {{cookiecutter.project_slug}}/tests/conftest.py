"""The service under test: the one package under src, which no test names."""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from flask import Flask
from flask.testing import FlaskClient

PACKAGE = next(Path(__file__).parents[1].glob("src/*/__init__.py")).parent.name

CreateApp = Callable[..., Flask]


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder in the project's place, so that no test sees this machine's .env and settings.

    The one thing that is set is what production can't be without, besides its key.
    """
    settings = import_module(f"{PACKAGE}.settings")
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setattr(settings, "INSTANCE", str(tmp_path / "instance"))
    for name in [name for name in os.environ if name.startswith(("APP_ENV", "SECRET_KEY", "FLASK_", "TRUSTED_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TRUSTED_HOSTS", "localhost")
    return tmp_path


@pytest.fixture(scope="session")
def keys() -> ModuleType:
    """The package that keeps the signing key."""
    return import_module(f"{PACKAGE}.keys")


@pytest.fixture(scope="session")
def create_app() -> CreateApp:
    """The application factory."""
    factory: CreateApp = import_module(PACKAGE).create_app
    return factory


@pytest.fixture
def client(create_app: CreateApp) -> FlaskClient:
    """A client of the service in the testing environment."""
    return create_app("testing").test_client()
