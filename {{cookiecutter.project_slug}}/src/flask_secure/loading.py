"""The layers of settings: each is run once, a later one wins, and a record keeps what set what.

defaults of the library ► the application's own ► config/default.py ► config/<environment>.py
► the instance folder's config.py ► init_app(settings=...) ► FLASK_* variables ► plain variables
► secret files
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Config, Flask
from flask.helpers import get_debug_flag

from . import environment, layers
from .choosing import BY_CODE, choose, is_flask_command
from .env_file import foreign_dotenv, read_dotenv, read_dotenv_if_possible
from .environment import Environment
from .layers import APPLICATION, EXTENDED, MERGED, Layer, has_own_files
from .lists import names_in
from .parts import ALL
from .problems import StartupError, project_root, quoted
from .redaction import protect


@dataclass
class Record:
    """What loading has found out, for the checks, the fixes and the commands."""

    config: Config
    environment: Environment
    said_by: str  # what has decided on the environment; "" if nothing did
    name: str  # the application's import name
    root: Path  # the project's folder
    config_folder: Path
    instance_config: Path
    dotenv: Mapping[str, str]  # the variables of the project's .env, verbatim
    is_debugged: bool = False  # by FLASK_DEBUG or `flask --debug`, which production ignores
    parts: frozenset[str] = ALL  # of the protection, that are on
    variables: Mapping[str, str] = field(default_factory=dict)  # that count for settings
    layers: list[Layer] = field(default_factory=list)
    origins: dict[str, str] = field(default_factory=dict)
    item_origins: dict[tuple[str, str], str] = field(default_factory=dict)
    loaded_app: Flask | None = None  # the application itself, if its code has been run

    @property
    def env_path(self) -> Path:
        return self.root / ".env"

    @property
    def is_developers_dotenv(self) -> bool:
        """Whether .env is that of a developer's clone.

        Outside a project, a production host may keep its own variables in a file of that name.
        """
        if (self.root / "pyproject.toml").is_file():
            return True
        return self.dotenv.get("APP_ENV") == environment.DEVELOPMENT.name

    @property
    def is_bare_clone(self) -> bool:
        """Whether this is a fresh clone or a laptop, where nothing says yet what it is.

        Debug mode is a laptop's.
        """
        ours = ("SECRET_KEY", "CREDENTIALS_", "TRUSTED_")
        is_said = self.said_by or any(name.startswith(ours) for name in os.environ)
        is_laptop = (self.root / ".env.example").exists() or self.is_debugged
        return is_laptop and not is_said and not self.env_path.exists()

    def is_from_dotenv(self, variable: str) -> bool:
        """Whether the `flask` command has made this variable of a line of the project's .env."""
        if variable not in self.dotenv or variable not in os.environ:
            return False
        if not self.environment.is_local and not (is_flask_command() and self.is_developers_dotenv):
            return False
        value = self.dotenv[variable]
        return os.environ[variable] == value or "${" in value  # which python-dotenv expands

    def fix(self, setting: str, value: object) -> str:
        """What gives `setting` the `value` where it was set."""
        origin = self.origins[setting]
        if is_variable(origin, setting):
            return self.fix_variable(origin, value)
        return f"{setting} = {value!r}  # in {self.place(origin)}"

    def fix_list(self, setting: str, good: list[str], example: str) -> str:
        """What keeps the `good` entries of a list; without one, `example` where files set it."""
        if is_variable(self.origins[setting], setting):
            return self.fix(setting, good)
        return self.fix(setting, good or [example])

    def fix_item(self, setting: str, item: str, value: object) -> str:
        """The same for one item of a dict: the others stay as they are."""
        origin = self.item_origins.get((setting, item.lower())) or self.origins[setting]
        if is_variable(origin, setting):
            return self.fix_variable(origin, None)
        place = self.place(origin)
        change = f"{{{item!r}: {value!r}}}"
        if isinstance(self.value_in(place, setting), dict):
            change = f"{setting} | {change}"
        return f"{setting} = {change}  # in {place}"

    def fix_variable(self, variable: str, value: object) -> str:
        """What to do with a variable: the list `value` is what is good in it; else it goes."""
        if not isinstance(value, list) or not value:
            if self.is_read_by_application(variable):
                return f"Correct {variable}: the application's own code reads it too."
            if self.is_from_dotenv(variable):
                return f"Remove {variable} from .env."
            return f"unset {quoted(variable)}"
        is_json = variable.startswith("FLASK_")
        text = json.dumps(value) if is_json else ",".join(str(entry) for entry in value)
        if self.is_from_dotenv(variable):
            return f"Set it in .env: {variable}={text}"
        return f"export {quoted(variable)}={quoted(text)}"

    def is_read_by_application(self, variable: str) -> bool:
        """Whether the code of the application has made a setting of this variable."""
        text = os.environ.get(variable)
        for layer in self.layers:
            if layer.name == APPLICATION and text:
                return text in [str(value) for value in layer.values.values()]
        return False

    def value_in(self, origin: str, setting: str) -> object:
        """What the layer `origin` sets `setting` to; None if it does not."""
        for layer in self.layers:
            if layer.name == origin:
                return layer.values.get(setting)
        return None

    def place(self, origin: str) -> str:
        """Where the owner sets what `origin` has set: nobody edits Flask or the library."""
        if origin != "Flask" and not origin.startswith("flask_secure/"):
            return origin
        return "config/default.py" if has_own_files(self.config_folder) else "the application"


def load(
    app: Flask,
    env: str | None = None,
    parts: frozenset[str] = ALL,
    settings: Mapping[str, Any] | None = None,
) -> Record:
    """Put every layer into `app.config`, and keep the record in `app.extensions`.

    The signing keys come later, past their checks. Raises StartupError.
    """
    in_code = layers.in_code(settings)
    root = project_root(app.root_path)
    reject_foreign_dotenv(app, root)
    use_instance_folder_of(root, app)
    record = begin(app, env, root)
    record.parts = parts
    if record.environment.is_local:
        export(read_dotenv(record.env_path, interpolate=True))
    record.variables = counted_variables(record)
    for layer in layers.before_variables(app, record.environment.name, parts):
        merge(record, layer)
    merge(record, in_code)
    for layer in layers.of_variables(app.config, parts, record.variables):
        merge(record, layer)
    use_application_root(record)
    decide(app, record)
    for name, value in app.config.items():
        app.config[name] = protect(name, value)
    app.extensions["flask_secure"] = record
    return record


def reject_foreign_dotenv(app: Flask, root: Path) -> None:
    """Raise what to do if the `flask` command has read another folder's .env."""
    foreign = foreign_dotenv(root, app.name) if is_flask_command() else None
    if foreign is not None:
        raise StartupError(foreign)


def begin(app: Flask, env: str | None, root: Path) -> Record:
    """The record of `app` before its layers: the environment, the folders, and .env."""
    config_folder = Path(app.root_path, "config")
    chosen, said_by = choose(app, env, config_folder, root / ".env")
    read = read_dotenv if chosen.is_local else read_dotenv_if_possible
    record = Record(
        config=app.config,
        environment=chosen,
        said_by=said_by,
        name=app.name,
        root=root,
        config_folder=config_folder,
        instance_config=Path(app.instance_path, "config.py"),
        dotenv=read(root / ".env"),
        is_debugged=get_debug_flag(),
    )
    record.origins = dict.fromkeys(Flask.default_config, "Flask")
    app.config["APP_ENV"] = chosen.name
    return record


def use_instance_folder_of(root: Path, app: Flask) -> None:
    """In a project with src/ Flask takes src/instance; the instance folder belongs beside src/."""
    if Path(app.instance_path) == root / "src" / "instance":
        app.instance_path = str(root / "instance")


def export(variables: Mapping[str, str]) -> None:
    """Make variables of the lines of .env, as the `flask` command does; one that is set wins.

    The keys stay out of the environment, which other programs and crash reports see.
    """
    for name, value in variables.items():
        is_possible = name and "=" not in name and "\0" not in name + value
        if is_possible and not name.startswith("SECRET_KEY"):
            os.environ.setdefault(name, value)


def counted_variables(record: Record) -> dict[str, str]:
    """The environment variables: outside development none that `flask` has taken from .env."""
    if record.environment.is_local:
        return dict(os.environ)
    return {name: os.environ[name] for name in os.environ if not record.is_from_dotenv(name)}


def merge(record: Record, layer: Layer) -> None:
    """Let `layer` win over those before, and write down what it has set."""
    record.layers.append(layer)
    for name, value in layer.values.items():
        known = record.config.get(name)
        record.config[name] = combined(name, known, value)
        record.origins[name] = layer.name
        if name in MERGED and isinstance(value, dict):
            for item in value:
                record.item_origins[name, str(item).lower()] = layer.name


def combined(name: str, known: Any, new: Any) -> Any:
    """The value of the setting `name` once `new` comes after `known`."""
    if name in MERGED and isinstance(new, dict):
        return merged(known, new)
    if name in EXTENDED:
        return list(dict.fromkeys([*names_in(known), *names_in(new)]))
    return new


def merged(known: Any, new: Mapping[Any, Any]) -> dict[Any, Any]:
    """`known` with the items of `new`. Their names have no case; None removes an item."""
    result = dict(known) if isinstance(known, dict) else {}
    spellings = {str(name).lower(): name for name in result}
    for name, item in new.items():
        spelling = spellings.setdefault(str(name).lower(), name)
        if item is None:
            result.pop(spelling, None)
        else:
            result[spelling] = item
    return result


def use_application_root(record: Record) -> None:
    """Give the session cookie the prefix that the application lies under as its path.

    Browsers keep a __Host- cookie for / alone, so its name begins with __Secure- instead. What the
    owner has said about the name or the path stays.
    """
    root = record.config["APPLICATION_ROOT"]
    for setting in ("SESSION_COOKIE_NAME", "SESSION_COOKIE_PATH"):
        if not record.origins[setting].startswith("flask_secure/"):
            return
    if isinstance(root, str) and root.startswith("/") and root != "/":
        name = record.config["SESSION_COOKIE_NAME"].replace("__Host-", "__Secure-", 1)
        values = {"SESSION_COOKIE_NAME": name, "SESSION_COOKIE_PATH": root}
        merge(record, Layer(record.origins["SESSION_COOKIE_NAME"], values))


def decide(app: Flask, record: Record) -> None:
    """Set what only the environment decides. DEBUG is False outside a developer's machine."""
    app.config["APP_ENV"] = record.environment.name
    app.config["TESTING"] = record.environment.is_test
    app.config["DEBUG"] = record.environment.is_local and is_on(app.config["DEBUG"])
    for name in ("APP_ENV", "TESTING", "DEBUG"):
        record.origins[name] = BY_CODE if record.said_by == BY_CODE else "APP_ENV"
    if is_flask_command():
        os.environ["FLASK_DEBUG"] = str(int(app.debug))  # the command sets app.debug from it later


def is_on(value: object) -> bool:
    """Whether DEBUG is on. Flask reads its text by this rule (flask.helpers.get_debug_flag)."""
    if isinstance(value, str):
        return value.lower() not in ("", "0", "false", "no")
    return bool(value)


def is_variable(origin: str, setting: str) -> bool:
    """Whether `origin`, the name of a layer, is that of an environment variable."""
    return origin in (setting, f"{setting}_FILE") or origin.startswith("FLASK_")
