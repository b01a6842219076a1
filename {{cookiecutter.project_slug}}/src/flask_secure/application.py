"""The application that a command is about: which one, and its settings without running it."""

import os
import re
import sys
from pathlib import Path

import click
from click import ClickException
from flask import Flask
from flask.cli import ScriptInfo

from . import choosing, loading
from .env_file import foreign_dotenv, read_dotenv
from .loading import Record
from .locating import Module, find_module, maker, module_of_file
from .problems import project_root


def named_application() -> tuple[str, Path]:
    """The import name and the folder of the application that --app or FLASK_APP names.

    They are those of the module that makes it: `wsgi:app` may have it from a package. Raises
    ClickException.
    """
    # As Flask parts them: the colon of a Windows drive is none.
    named, *attribute = re.split(r":(?![\\/])", application_path(), maxsplit=1)
    module = named_module(named)
    if module is None:
        raise ClickException(
            f"There is no application {named!r} here. Name another: export FLASK_APP=NAME"
        )
    module = maker(module, attribute[0] if attribute else "")
    return module.name, module.path.parent


def named_module(named: str) -> Module | None:
    """The module that FLASK_APP names, as a file or by its import name."""
    if named.endswith(".py") or os.sep in named:
        module = module_of_file(Path(named))
        sys.path.insert(0, str(module.top))
        return module
    sys.path.insert(0, os.getcwd())
    return find_module(named)


def application_path() -> str:
    """What --app or FLASK_APP says, but for a FLASK_APP that a foreign .env may have set.

    Without either it is wsgi.py or app.py in the working folder.
    """
    info = click.get_current_context().find_object(ScriptInfo)
    if info and info.app_import_path and not is_foreign():
        return info.app_import_path
    if os.environ.get("FLASK_APP") and not is_foreign():
        return os.environ["FLASK_APP"]
    root = project_root(Path.cwd())
    default = "wsgi.py" if Path("wsgi.py").is_file() else "app.py"  # as Flask does
    return read_dotenv(root / ".flaskenv").get("FLASK_APP", default)


def is_foreign() -> bool:
    """Whether the `flask` command has read another folder's .env."""
    if not choosing.is_flask_command():
        return False
    return foreign_dotenv(project_root(Path.cwd()), "") is not None


def configured(env: str | None = None) -> tuple[Flask, Record]:
    """An application with the settings of the named one, and nothing else. Raises StartupError."""
    name, folder = named_application()
    app = Flask(name, root_path=str(folder))
    return app, loading.load(app, env)
