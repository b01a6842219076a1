"""Which environment this is, and the layers of its settings, of which a later one wins."""

import os
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Config, Flask

from .files import foreign_dotenv, read_dotenv, read_secret
from .problems import Problem, StartupError, command, project_root, quoted
from .redaction import protect

ENVIRONMENTS = ("development", "testing", "production")
DEFAULTS = Path(__file__).parent / "defaults"
MERGED = {"CONTENT_SECURITY_POLICY", "SECURITY_HEADERS"}  # by name; None removes a name
SOURCES = "CONFIG_SOURCES"  # the setting that says what `layers` runs

# A setting has the type of its default, the library's or Flask's. The others are these.
TYPES: dict[str, tuple[type, ...]] = {"TRUSTED_HOSTS": (list, str), "TRUSTED_PROXIES": (int, str)}
ALSO: dict[type, tuple[type, ...]] = {timedelta: (int,), list: (str, tuple)}  # a list may be a text with commas


def load(app: Flask, env: str | None = None) -> None:
    """Put the layers and the variables into `app.config`; the keys come later. Raises StartupError."""
    root, from_cli = project_root(app.root_path), os.environ.get("FLASK_RUN_FROM_CLI") == "true"
    if problems := [each for each in (bare_clone(env, root), foreign_dotenv(root) if from_cli else None) if each]:
        raise StartupError(*problems)
    env = environment(env, root)
    for name, value in read_dotenv(root / ".env").items() if env == "development" else ():
        if not name.startswith("SECRET_KEY") and "\0" not in value:
            os.environ.setdefault(name, value)
    if Path(app.instance_path) == root / "src" / "instance":  # Flask's choice in a project with src/
        app.instance_path = str(root / "instance")
    own = {name: value for name, value in app.config.items() if value != app.default_config.get(name)}
    own.pop("DEBUG", None)  # Flask has set it from FLASK_DEBUG
    files = [Path(app.root_path, "config", name) for name in ("default.py", f"{env}.py")]
    sources = {"name": app.name, "own": own, "files": [*files, Path(app.instance_path, "config.py")]}
    app.config.update({"APP_ENV": env, SOURCES: sources})
    for _, values in layers(app.config):
        for name in MERGED & values.keys():
            known, new = app.config.get(name), values[name]
            if isinstance(known, dict) and isinstance(new, dict):
                values = {**values, name: {key: item for key, item in {**known, **new}.items() if item is not None}}
        app.config.update(values)
    app.config.update(TESTING=env == "testing", DEBUG=bool(app.config["DEBUG"]) and env == "development")
    app.config.update({name: protect(name, value) for name, value in app.config.items()})
    if from_cli:
        os.environ["FLASK_DEBUG"] = str(int(app.debug))  # the flask command sets app.debug from it afterwards


def bare_clone(env: str | None, root: Path) -> Problem | None:
    """What a developer needs in a fresh clone, where nothing says yet what it is: no environment, no key, no .env."""
    said = [name for name in os.environ if name.startswith(("APP_ENV", "SECRET_KEY", "CREDENTIALS_", "TRUSTED_"))]
    if env or said or (root / ".env").exists() or not (root / ".env.example").exists():
        return None
    return Problem("key-missing", f"There is no .env in {root}, and so no key to sign with", command("key init"))


def environment(env: str | None, root: Path) -> str:
    """The environment: `env`, else APP_ENV, else the project's .env, else production. Raises StartupError."""
    where, fix = "create_app()", 'create_app("production")'
    if env is None:
        env, where, fix = os.environ.get("APP_ENV"), "APP_ENV", "export APP_ENV=production"
    if env is None:
        env, where, fix = read_dotenv(root / ".env").get("APP_ENV", "production"), f"{root}/.env", "APP_ENV=development"
    if env not in ENVIRONMENTS:
        message = f"{where} says {env!r}; it is one of {', '.join(ENVIRONMENTS)}"
        raise StartupError(Problem("env-unknown", message, fix))
    return env


def layers(config: Config) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Run the layers: the name of each, and what it sets. Raises StartupError."""
    sources = config[SOURCES]
    for name in ("default", config["APP_ENV"]):
        values = run_pyfile(config, DEFAULTS / f"{name}.py")
        if "SESSION_COOKIE_NAME" in values:
            values["SESSION_COOKIE_NAME"] = values["SESSION_COOKIE_NAME"].format(name=sources["name"])
        yield f"flask_secure/defaults/{name}.py", values
    yield "the application", sources["own"]
    for path in sources["files"]:
        yield f"{path.parent.name}/{path.name}", run_pyfile(config, path)
    variables = Config(config.root_path, {name: dict(item) for name, item in config.items() if isinstance(item, dict)})
    files = secret_files(config)
    names = [name for name in sorted(os.environ.keys() - files.keys()) if name.startswith("FLASK_")]
    try:
        variables.from_prefixed_env()
    except TypeError:
        nested = " ".join(quoted(name) for name in names if "__" in name)
        raise StartupError(Problem("setting-type", f"No dict, but it has items: {nested}", f"unset {nested}")) from None
    for name in names:
        setting = name.removeprefix("FLASK_").partition("__")[0]
        yield name, {setting: variables[setting]}
    for name in entries(config["UNPREFIXED_VARIABLES"]):
        if os.environ.get(name, "").strip():
            yield name, {name: os.environ[name].strip()}
    for variable, path in files.items():
        name = variable.removeprefix("FLASK_").removesuffix("_FILE")
        if variable.removesuffix("_FILE") in os.environ:
            raise StartupError(
                Problem("setting-twice", f"{name} is set by {variable} too", f"unset {quoted(variable)}")
            )
        yield variable, {name: protect("SECRET", read_secret(path, name))}


def secret_files(config: Config) -> dict[str, Path]:
    """The file that each FLASK_NAME_FILE names: it holds the setting NAME, such as the password of a database."""
    plain = [f"{name}_FILE" for name in entries(config["UNPREFIXED_VARIABLES"])]
    names = [name for name in os.environ if name in plain or re.fullmatch("FLASK_(?!SECRET_KEY|ENV_).+_FILE", name)]
    return {name: Path(os.environ[name]) for name in sorted(names)}


def run_pyfile(config: Config, path: Path) -> Config:
    """The settings in the Python file at `path`; none without the file. Raises StartupError when it can't be run."""
    values = Config(config.root_path)
    try:
        values.from_pyfile(path, silent=True)
    except (Exception, SystemExit) as error:  # a traceback could show a line with a key
        line = getattr(error, "lineno", None) or traceback.extract_tb(error.__traceback__)[-1].lineno
        message = f"{type(error).__name__} in line {line} of {path}"
        raise StartupError(Problem("config-file", message, "Correct that line.")) from None
    return values


def origins(config: Config) -> dict[str, str]:
    """What has set each setting: a file, a variable, "the application", "APP_ENV" or "Flask"."""
    found = dict.fromkeys(Flask.default_config, "Flask")
    found |= {name: layer for layer, values in layers(config) for name in values}
    return found | dict.fromkeys(("APP_ENV", "DEBUG", "TESTING"), "APP_ENV")


def fix(config: Config, setting: str, value: object) -> str:
    """The line that gives `setting` the `value` where it was set."""
    layer = origins(config)[setting]
    if layer.startswith("FLASK_") or layer == setting:
        in_file = config["APP_ENV"] == "development" and layer in read_dotenv(project_root(config.root_path) / ".env")
        return f"Remove {layer} from .env." if in_file else f"unset {quoted(layer)}"
    if layer == "Flask" or layer.startswith("flask_secure"):
        layer = "config/default.py" if config[SOURCES]["files"][0].exists() else "the application"
    return f"{setting} = {value!r}  # in {layer}"


def check(config: Config) -> Iterator[Problem]:
    """Settings of the wrong type."""
    for name, default in {**Flask.default_config, **run_pyfile(config, DEFAULTS / "default.py")}.items():
        value, kinds = config[name], TYPES.get(name) or (type(default), *ALSO.get(type(default), ()))
        is_none = value is None and (name.startswith("MAX_") or Flask.default_config.get(name) is None)
        fits = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
        if not fits and not is_none and (name in TYPES or default is not None):
            message = f"{name} is {value!r}; it must be {' or '.join(each.__name__ for each in kinds)}"
            yield Problem("setting-type", message, fix(config, name, default))


def entries(value: str | float | Iterable[str] | None) -> list[str]:
    """The entries of a list in a setting, or of a variable with commas between, without spaces around them."""
    items = str(value).split(",") if isinstance(value, str | int | float) else value or ()
    return [str(item).strip() for item in items]
