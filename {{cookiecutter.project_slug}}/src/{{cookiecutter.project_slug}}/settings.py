"""Which environment this is, and its settings: layers of which a later one wins."""

import os
from pathlib import Path

import click
from flask import Flask
from flask.cli import NoAppException

from . import envfile

ENVIRONMENTS = ("development", "testing", "production")

# The project's folder where the service runs from its source; an installed wheel has none.
_above = Path(__file__).resolve().parents[2]
ROOT = _above if (_above / "pyproject.toml").is_file() else None

# Flask's own choice for a wheel: var/<package>-instance in the virtual environment.
INSTANCE = str(ROOT / "instance") if ROOT else None


class StartupError(NoAppException):
    """Why the service does not start, in one line that names the cure.

    The `flask` command shows a NoAppException as a line instead of a traceback.
    """

    exit_code = 1

    def show(self, file: object = None) -> None:
        click.echo(f"Error: {self.format_message()}", err=True)


def choose_environment(env: str | None = None) -> str:
    """Name the environment: `env`, else APP_ENV, else the project's .env, else production.

    Raises StartupError when the name is not one of ENVIRONMENTS.
    """
    forget_flask_dotenv()
    where = "create_app()"
    if env is None:
        env, where = os.environ.get("APP_ENV"), "APP_ENV"
    if env is None:
        env, where = dotenv().get("APP_ENV", "production"), "APP_ENV in .env"
    if env not in ENVIRONMENTS:
        raise StartupError(f"{where} says {env!r}; it is one of {', '.join(ENVIRONMENTS)}: export APP_ENV=development")
    return env


def load(app: Flask, env: str) -> None:
    """Put the layers into `app.config`; the keys come last, from `keys.init_app`.

    default.py, <env>.py, the instance folder's config.py, FLASK_* variables. In development the
    project's .env stands behind the environment, as if its lines had been exported.

    Raises StartupError when the instance folder's config.py can't be run.
    """
    if env == "development":
        for name, value in dotenv().items():
            if not name.startswith("SECRET_KEY"):
                os.environ.setdefault(name, value)
    app.config.from_pyfile("config/default.py")
    app.config.from_pyfile(f"config/{env}.py")
    instance = Path(app.instance_path, "config.py")
    try:
        app.config.from_pyfile(instance, silent=True)
    except Exception as error:  # it is a person's Python, and its traceback would show the file's lines
        line = getattr(error, "lineno", None)
        raise StartupError(
            f"{instance} does not run: {type(error).__name__}{f' in line {line}' if line else ''}."
            f" See: python {instance}"
        ) from None
    app.config.from_prefixed_env()
    app.config["APP_ENV"] = env
    if env != "development":
        app.config["DEBUG"] = False  # whatever FLASK_DEBUG says
    app.config["TESTING"] = env == "testing"
    if os.environ.get("FLASK_RUN_FROM_CLI") == "true":
        # The flask command sets app.debug from this variable once the application is made.
        os.environ["FLASK_DEBUG"] = str(int(app.debug))


def dotenv() -> dict[str, str]:
    """The variables in the project's .env; none where there is no such file.

    Raises StartupError when the file can't be read.
    """
    try:
        return envfile.read(ROOT / ".env") if ROOT else {}
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise StartupError(f"{ROOT}/.env can't be read: {why}.") from None


def forget_flask_dotenv() -> None:
    """Take back what the `flask` command itself put into the environment from a .env file.

    It looks through the parent folders too, expands ${NAME} in values, and hands the result on to
    the reloader's processes, where it would outlive a change of the file. gunicorn does none of this.
    """
    if os.environ.get("FLASK_RUN_FROM_CLI") != "true":
        return
    for name, value in envfile.read_as_flask().items():
        if os.environ.get(name) == value:
            del os.environ[name]
