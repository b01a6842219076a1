"""Which environment this is, and its settings: layers of which a later one wins."""

import json
import os
import shutil
import traceback
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import click
from flask import Config, Flask
from flask.cli import NoAppException

from . import envfile

ENVIRONMENTS = ("development", "testing", "production")

# The project's folder where the service runs from its source; an installed wheel has none.
_above = Path(__file__).resolve().parents[2]
ROOT = _above if (_above / "pyproject.toml").is_file() else None

# Flask's own choice for a wheel: var/<package>-instance in the virtual environment.
INSTANCE = str(ROOT / "instance") if ROOT else None

# Settings that are variables by their own name too, without FLASK_ and taken as text.
VARIABLES = ("TRUSTED_HOSTS", "TRUSTED_PROXIES")

EXTENSION = "settings"

# What `load` took from .env into the environment, as JSON, for `forget_dotenv`.
FROM_DOTENV = "DOTENV_VARIABLES"


class CommandError(NoAppException):
    """What a command can't do, in one line. The `flask` command shows a NoAppException without a traceback."""

    exit_code = 1

    def show(self, file: object = None) -> None:
        click.echo(f"Error: {self.format_message()}", err=True)


class StartupError(CommandError, RuntimeError):
    """Why the service does not start: an id that does not change, what is wrong, and what to do about it.

    gunicorn shows a RuntimeError of an application that it loads before its workers as a line, too.
    """

    def __init__(self, id: str, problem: str, cure: str) -> None:
        super().__init__(f"{problem} [{id}]. {cure}".rstrip())
        self.id, self.problem, self.cure = id, problem, cure


def flask_command(arguments: str) -> str:
    """The line that runs the `flask` command here, for a person to copy."""
    return f"{'uv run ' if ROOT and shutil.which('uv') else ''}flask {arguments}"


def choose_environment(env: str | None = None, option: str = "") -> str:
    """Name the environment: `env`, else APP_ENV, else the project's .env, else production.

    `option` is what gave `env` where that was on the command line. Raises StartupError when the name is not one
    of ENVIRONMENTS.
    """
    forget_dotenv()
    where, cure = (option, f"{option} {{}}") if option else ("create_app()", "create_app({!r})")
    if env is None:
        env, where, cure = os.environ.get("APP_ENV"), "APP_ENV", "export APP_ENV={}"
    if env is None:
        env, where, cure = dotenv().get("APP_ENV", "production"), f"APP_ENV in {ROOT}/.env", "the line APP_ENV={}"
    if env not in ENVIRONMENTS:
        near = next((name for name in ENVIRONMENTS if env and name.startswith(env[:3].lower())), "production")
        names = ", ".join(ENVIRONMENTS)
        raise StartupError("env-unknown", f"{where} says {env!r}; it is one of {names}", cure.format(near))
    return env


def configured(env: str | None = None) -> Flask:
    """An application with the settings of an environment and nothing else: no keys, no pages.

    `env` is as for `choose_environment`. Raises StartupError.
    """
    env = choose_environment(env)
    app = Flask(__package__, instance_path=INSTANCE)
    load(app, env)
    return app


def load(app: Flask, env: str) -> None:
    """Put the layers into `app.config`; the keys come last, from `keys.init_app`.

    default.py, <env>.py, the instance folder's config.py, then variables: FLASK_* and VARIABLES. In development
    the project's .env stands behind the environment, as if its lines had been exported.

    Raises StartupError when the instance folder's config.py can't be run, and for a debugger in production.
    """
    from_dotenv: dict[str, str] = {}
    if env == "development":
        from_dotenv = {name: value for name, value in dotenv().items() if name not in os.environ}
        from_dotenv = {name: value for name, value in from_dotenv.items() if not name.startswith("SECRET_KEY")}
        os.environ.update(from_dotenv)
        os.environ[FROM_DOTENV] = json.dumps(from_dotenv)
    layers: dict[str, str] = app.extensions.setdefault(EXTENSION, {})

    def said_by(layer: str, names: Iterable[str]) -> None:
        layers.update(dict.fromkeys(names, layer))

    for layer, values in files(app, env):
        app.config.update(values)
        said_by(layer, values)
    app.config.from_prefixed_env()
    for variable in sorted(os.environ):
        is_ours = variable in VARIABLES and os.environ[variable].strip()
        if is_ours:
            app.config[variable] = os.environ[variable]
        if is_ours or variable.startswith("FLASK_"):
            where = ".env" if variable in from_dotenv else "the environment"
            said_by(f"{variable} in {where}", [variable.removeprefix("FLASK_").partition("__")[0]])
    app.config["APP_ENV"] = env
    app.config["TESTING"] = env == "testing"
    said_by("APP_ENV", ["APP_ENV", "TESTING"])
    if env != "development":
        app.config["DEBUG"] = False  # whatever FLASK_DEBUG says
        said_by("APP_ENV", ["DEBUG"])
    if os.environ.get("FLASK_RUN_FROM_CLI") == "true":
        # The flask command sets app.debug from this variable once the application is made.
        debug = str(int(app.debug))
        if os.environ.get("FLASK_DEBUG") != debug:
            os.environ["FLASK_DEBUG"] = debug
            os.environ[FROM_DOTENV] = json.dumps(from_dotenv | {"FLASK_DEBUG": debug})  # nobody's own word
        context = click.get_current_context(silent=True)
        if env == "production" and context and context.params.get("debugger"):
            raise StartupError(
                "debugger", "The debugger runs anybody's code, so never in production", "flask run --no-debugger"
            )


def files(app: Flask, env: str) -> Iterator[tuple[str, Config]]:
    """The layers that are files, each with what it sets. Raises StartupError when one can't be run."""
    for path in ("config/default.py", f"config/{env}.py"):
        yield path, pyfile(app, path)
    yield "instance/config.py", pyfile(app, os.path.join(app.instance_path, "config.py"))


def pyfile(app: Flask, path: str) -> Config:
    """The settings in a Python file of a layer; none where there is no such file.

    Raises StartupError when the file can't be run.
    """
    values = Config(app.root_path)
    try:
        values.from_pyfile(path, silent=os.path.isabs(path))
    except (Exception, SystemExit) as error:  # a person's Python; a traceback would show the lines of a file with keys
        file = os.path.join(app.root_path, path)
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        line = getattr(error, "lineno", None) or (lines[-1] if lines else None)
        where = f"line {line} of {file}" if line else file
        cure = "Mend that file" + (", or remove it." if os.path.isabs(path) else ".")
        raise StartupError("config-file", f"{type(error).__name__} in {where}", cure) from None
    return values


def layer_of(app: Flask, setting: str) -> str:
    """Which layer set `setting`: a file, or a variable and its place; else Flask, or code such as an extension's."""
    layers: dict[str, str] = app.extensions[EXTENSION]
    return layers.get(setting, "Flask" if setting in app.default_config else "code")


def dotenv(name: str = ".env") -> dict[str, str]:
    """The variables in a file of that form in the project's folder; none where there is no such file.

    Raises StartupError when the file can't be read.
    """
    try:
        return envfile.read(ROOT / name) if ROOT else {}
    except (OSError, envfile.EnvFileError) as error:
        why, cure = (
            (error.strerror, f"ls -l {ROOT}/{name}") if isinstance(error, OSError) else (error, "Mend it there.")
        )
        raise StartupError("env-file", f"{ROOT}/{name} can't be read: {why}", cure) from None


def forget_dotenv() -> None:
    """Take back what an earlier `load`, and the `flask` command itself, put into the environment from a .env.

    The reloader's processes inherit it, where it would outlive a change of the file. The `flask`
    command reads the .env of parent folders too, and expands ${NAME} in values; gunicorn reads none.
    """
    read = json.loads(os.environ.pop(FROM_DOTENV, "{}"))
    if os.environ.get("FLASK_RUN_FROM_CLI") == "true":
        from_file = envfile.read_as_flask()
        if (real := exported()) is not None:
            # Whatever its value: the file may have changed since `flask` read it.
            from_file = {name: os.environ.get(name, value) for name, value in from_file.items() if name not in real}
        read |= from_file
    for name, value in read.items():
        if os.environ.get(name) == value:
            del os.environ[name]


def exported() -> Collection[str] | None:
    """The variables that this process was started with, where the system tells (Linux); else None."""
    try:
        block = Path("/proc/self/environ").read_bytes()
    except OSError:
        return None
    return {os.fsdecode(entry.partition(b"=")[0]) for entry in block.split(b"\0")}
