"""The layers themselves: what each sets, and by which name `flask config` shows it."""

import os
import re
import traceback
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Config, Flask

from .lists import names_in
from .parts import settings_left_alone
from .problems import Problem, StartupError, quoted
from .redaction import protect
from .secret_files import read_secret

DEFAULTS = Path(__file__).parent / "defaults"

# In these dicts a later layer changes single items, and None removes one.
MERGED = (
    "CONTENT_SECURITY_POLICY",
    "CONTENT_SECURITY_POLICY_REPORT_ONLY",
    "SECURITY_HEADERS",
)
# To these lists a later layer adds.
EXTENDED = ("UNPREFIXED_VARIABLES",)

APPLICATION = "the application"
# Flask sets DEBUG from FLASK_DEBUG; APP_ENV is the library's.
NOT_OF_APPLICATION = ("APP_ENV", "DEBUG")
SETTINGS = "init_app(settings=...)"

# What `init_app(settings=...)` can't set, and where it is said instead.
KEY_PLACE = "A key is a variable, a secret file or a line of .env, never code."
ELSEWHERE = {
    "APP_ENV": "Name the environment: init_app(app, ENVIRONMENT)",
    "TESTING": 'Name the environment: init_app(app, "testing")',
    "DEBUG": "Development has it: export APP_ENV=development",
}

# FLASK_DB_PASSWORD_FILE names a file. The keys have names of their own; FLASK_ENV_FILE is Flask's.
FILE_VARIABLE = re.compile("FLASK_(?!SECRET_KEY|ENV_).+_FILE")


@dataclass(frozen=True)
class Layer:
    """Some settings, and the file, variable or program that they come from."""

    name: str
    values: Mapping[str, Any]


def before_variables(app: Flask, environment: str, parts: frozenset[str]) -> Iterator[Layer]:
    """The library's defaults, what the application has set, and the configuration files."""
    own = Layer(APPLICATION, set_by_application(app))
    for name in ("default", environment):
        yield defaults(app, name, parts)
    yield own
    for path in files(app, environment):
        yield Layer(f"{path.parent.name}/{path.name}", run_pyfile(app.config, path))


def set_by_application(app: Flask) -> dict[str, Any]:
    """What the application has set before `init_app` to another value than Flask's default.

    Flask's default is no choice that anyone could see: `init_app(settings=...)` keeps it.
    """
    found = {}
    for name, value in app.config.items():
        is_default = name in app.default_config and value == app.default_config[name]
        if name not in NOT_OF_APPLICATION and not is_default:
            found[name] = value
    return found


def files(app: Flask, environment: str) -> list[Path]:
    """The configuration files: the project's own, and the instance folder's."""
    folder, instance = Path(app.root_path, "config"), Path(app.instance_path, "config.py")
    if not has_own_files(folder):
        return [instance]
    return [folder / "default.py", folder / f"{environment}.py", instance]


def has_own_files(folder: Path) -> bool:
    """Whether `folder` has configuration files of the template's form.

    A `config/` of an application's own may be a package, whose modules nobody asked to run.
    """
    return (folder / "default.py").is_file() and not (folder / "__init__.py").exists()


def in_code(settings: Mapping[str, Any] | None) -> Layer:
    """What `init_app(settings=...)` sets, whatever the value. Raises StartupError."""
    if settings is None:
        return Layer(SETTINGS, {})
    if not isinstance(settings, Mapping) or not all(isinstance(name, str) for name in settings):
        message = f"settings is {type(settings).__name__}; it is a dict with names of settings"
        fix = 'settings={"SESSION_COOKIE_NAME": "session"}'
        raise StartupError(Problem("settings-format", message, fix))
    problems = []
    for name in settings:
        if name.startswith("SECRET_KEY") or name in ELSEWHERE:
            message = f"settings has {name}, which does not belong there"
            problems.append(Problem("settings-format", message, ELSEWHERE.get(name, KEY_PLACE)))
    if problems:
        raise StartupError(*problems)
    return Layer(SETTINGS, dict(settings))


def of_variables(
    config: Config, parts: frozenset[str], variables: Mapping[str, str]
) -> Iterator[Layer]:
    """FLASK_* variables, those without a prefix, and the files that variables name."""
    yield from prefixed_variables(config, variables)
    yield from plain_variables(config, parts, variables)
    yield from file_variables(config, variables)


def defaults(app: Flask, name: str, parts: frozenset[str]) -> Layer:
    """The library's defaults; the session cookie's name has the application's in it."""
    values = run_pyfile(app.config, DEFAULTS / f"{name}.py")
    for setting in settings_left_alone(parts):
        values.pop(setting, None)
    if "SESSION_COOKIE_NAME" in values:
        values["SESSION_COOKIE_NAME"] = values["SESSION_COOKIE_NAME"].format(name=app.name)
    return Layer(f"flask_secure/defaults/{name}.py", values)


def run_pyfile(config: Config, path: Path) -> Config:
    """The settings in the Python file at `path`; none without the file.

    Raises StartupError if it can't be run, with the line; a traceback could show a key.
    """
    values = Config(config.root_path)
    try:
        values.from_pyfile(path, silent=True)
    except (Exception, SystemExit) as error:
        message = f"{type(error).__name__} in line {line_of(error, path)} of {path}"
        raise StartupError(Problem("config-file", message, "Correct that line.")) from None
    return values


def line_of(error: BaseException, path: Path) -> int | None:
    """The line of the file at `path` that has raised `error`."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    if lines:
        return lines[-1]
    return getattr(error, "lineno", None)  # of a SyntaxError, whose file did not run


def prefixed_variables(config: Config, variables: Mapping[str, str]) -> Iterator[Layer]:
    """FLASK_NAME=value, and FLASK_NAME__item=value for one item of a dict, parsed by Flask."""
    names = prefixed_names(config, variables)
    # Flask writes items into the dict that it finds, so it gets copies.
    dicts = {name: deepcopy(value) for name, value in config.items() if isinstance(value, dict)}
    parsed = Config(config.root_path, dicts)
    try:
        parsed.from_prefixed_env()
    except TypeError:
        nested = " ".join(quoted(name) for name in names if is_item_of_no_dict(name, config))
        message = f"{nested} sets an item of a setting that is not a dict"
        raise StartupError(Problem("setting-type", message, f"unset {nested}")) from None
    for name in names:
        yield prefixed_variable(name, parsed)


def is_item_of_no_dict(name: str, config: Config) -> bool:
    """Whether FLASK_NAME__item has a NAME that something has set to another value than a dict."""
    setting, is_nested, _ = name.removeprefix("FLASK_").partition("__")
    known = config.get(setting, {})
    return bool(is_nested) and (f"FLASK_{setting}" in os.environ or not isinstance(known, dict))


def prefixed_names(config: Config, variables: Mapping[str, str]) -> list[str]:
    """The FLASK_* variables that hold a value; FLASK_NAME_FILE is another layer's."""
    names = [name for name in sorted(variables) if name.startswith("FLASK_")]
    in_files = secret_files(config, variables)
    return [name for name in names if name not in in_files]


def prefixed_variable(name: str, parsed: Config) -> Layer:
    """What one FLASK_* variable sets; of a merged dict, the one item that it names."""
    setting, _, path = name.removeprefix("FLASK_").partition("__")
    value = parsed[setting]
    if path and setting in MERGED:
        item = path.partition("__")[0]
        value = {item: value[item]}
    return Layer(name, {setting: value})


def plain_variables(
    config: Config, parts: frozenset[str], variables: Mapping[str, str]
) -> Iterator[Layer]:
    """The variables that UNPREFIXED_VARIABLES names; an empty one is not set."""
    alone = settings_left_alone(parts)
    names = [name for name in names_in(config["UNPREFIXED_VARIABLES"]) if name not in alone]
    for name in names:
        value = variables.get(name, "").strip()
        if value:
            yield Layer(name, {name: value})


def file_variables(config: Config, variables: Mapping[str, str]) -> Iterator[Layer]:
    """FLASK_NAME_FILE, or NAME_FILE: the text of the file, which shows nowhere."""
    plain = names_in(config["UNPREFIXED_VARIABLES"])
    for variable, path in secret_files(config, variables).items():
        name = variable.removeprefix("FLASK_").removesuffix("_FILE")
        reject_second_value(variable, f"FLASK_{name}", variables)
        if name in plain:
            reject_second_value(variable, name, variables)
        yield Layer(variable, {name: protect("SECRET", read_secret(path, name))})


def reject_second_value(variable: str, other: str, variables: Mapping[str, str]) -> None:
    """Raise StartupError if `other` sets what the file that `variable` names holds."""
    if variables.get(other):
        name = other.removeprefix("FLASK_")
        message = f"{name} is set by {variable} too, beside {other}"
        raise StartupError(Problem("setting-twice", message, f"unset {quoted(variable)}"))


def secret_files(config: Config, variables: Mapping[str, str]) -> dict[str, Path]:
    """The path that each such variable names.

    An application may have a setting of the whole name, such as LOG_FILE: then FLASK_LOG_FILE is
    that setting's, like any other variable.
    """
    plain = {f"{name}_FILE" for name in names_in(config["UNPREFIXED_VARIABLES"])}
    found = {}
    for variable in sorted(variables):
        setting = variable.removeprefix("FLASK_")
        is_ours = FILE_VARIABLE.fullmatch(variable) and (setting in plain or setting not in config)
        if is_ours or variable in plain:
            found[variable] = Path(variables[variable])
    return found
