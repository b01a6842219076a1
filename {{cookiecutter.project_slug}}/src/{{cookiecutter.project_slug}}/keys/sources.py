"""Where the keys come from, and their way into the application, past the policy."""

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from flask import Config, Flask

from .. import settings
from . import policy
from .ring import KeyRing, process_key, redacted

EXTENSION = "keys"
VARIABLES = ("SECRET_KEY", "SECRET_KEY_NEXT", "SECRET_KEY_FALLBACKS")


@dataclass(frozen=True, repr=False)
class Found:
    """What a source holds, before the policy has seen it, so of any type."""

    place: str
    current: object
    next: object = None
    previous: object = ()


class Loaded(NamedTuple):
    """The ring in use, and where it came from."""

    ring: KeyRing
    place: str


def init_app(app: Flask) -> None:
    """Give `app` its signing keys; nothing reaches `app.config` that the policy refuses.

    Raises settings.StartupError.
    """
    app.extensions[EXTENSION] = load(app.config)
    ring = loaded(app).ring
    app.config["SECRET_KEY"] = ring.current
    app.config["SECRET_KEY_FALLBACKS"] = ring.fallbacks()
    # Flask-WTF, where somebody adds it, ignores fallbacks but takes a list, the signing key last.
    app.config["WTF_CSRF_SECRET_KEY"] = list(ring)


def loaded(app: Flask) -> Loaded:
    """The ring that `app` uses, and where it came from."""
    result: Loaded = app.extensions[EXTENSION]
    return result


def load(config: Config) -> Loaded:
    """Find the keys for the environment that `config` names, and judge them.

    Raises settings.StartupError, in one line that names the variable and the cure.
    """
    refuse_prefixed()
    found = find(config)
    if found is None:
        raise settings.StartupError(missing(config["APP_ENV"]))
    return Loaded(judge(found, config["APP_ENV"]), found.place)


def find(config: Config) -> Found | None:
    """The first source that speaks: the environment, the configuration files, .env in development."""
    if config["APP_ENV"] == "testing":
        return Found("this process", process_key())
    if any(variable in os.environ for variable in VARIABLES):
        return from_variables(os.environ, "the environment")
    if config["SECRET_KEY"] is not None:
        fallbacks = config["SECRET_KEY_FALLBACKS"]
        return Found("the configuration files", config["SECRET_KEY"], previous=() if fallbacks is None else fallbacks)
    if config["APP_ENV"] == "development" and (values := settings.dotenv()):
        return from_variables(values, ".env")
    return None


def from_variables(values: "os._Environ[str] | dict[str, str]", place: str) -> Found:
    """The ring in the variables of an environment or a .env file, each taken verbatim."""
    current, following, fallbacks = (values.get(variable) for variable in VARIABLES)
    return Found(place, current, following, () if fallbacks is None else fallbacks.split(","))


def judge(found: Found, env: str) -> KeyRing:
    """The ring of what was found. Raises settings.StartupError at the first key that is refused."""

    def check(variable: str, key: object) -> None:
        if problem := policy.refusal(key):
            raise refused(variable, found.place, problem)

    check("SECRET_KEY", found.current)
    if found.next is not None:
        check("SECRET_KEY_NEXT", found.next)
    if not isinstance(found.previous, list | tuple):
        kind = type(found.previous).__name__
        raise refused("SECRET_KEY_FALLBACKS", found.place, policy.Refusal("fallbacks-type", f"is no list, but {kind}"))
    for key in found.previous:
        check("SECRET_KEY_FALLBACKS", key)
    if len(found.previous) > policy.MAXIMUM_FALLBACKS:
        too_many = policy.Refusal("fallbacks-many", f"has more than {policy.MAXIMUM_FALLBACKS} keys")
        raise refused("SECRET_KEY_FALLBACKS", found.place, too_many)
    ring = KeyRing(
        redacted(found.current),  # type: ignore[arg-type]  # the policy let text and bytes through
        redacted(found.next) if found.next else None,  # type: ignore[arg-type]
        tuple(redacted(key) for key in found.previous),
    )
    if ring.current in ring.fallbacks():
        repeated = policy.Refusal("key-repeated", "is also a fallback key, so it would never be retired")
        raise refused("SECRET_KEY", found.place, repeated)
    if env == "production" and ring.current == development_key():
        shared = policy.Refusal("key-development", "is the development key that lies in this project's .env")
        raise refused("SECRET_KEY", found.place, shared)
    return ring


def development_key() -> str | None:
    """The key in the project's .env, where there is one and production can read it."""
    with suppress(settings.StartupError):
        return settings.dotenv().get("SECRET_KEY")
    return None


def refuse_prefixed() -> None:
    """Flask reads FLASK_ variables as JSON, which turns the key 123456 into a number."""
    for variable in VARIABLES:
        if (prefixed := f"FLASK_{variable}") in os.environ:
            raise settings.StartupError(
                f"{prefixed} is set, and Flask would read it as JSON, not as a key."
                f" Use {variable} in its place: unset {prefixed}"
            )


def command(name: str) -> str:
    """The line that runs `flask key NAME` here."""
    return f"{'uv run ' if settings.ROOT else ''}flask key {name}"


def missing(env: str) -> str:
    """What to do where no source speaks."""
    export = f'export SECRET_KEY="$({command("generate")})"'
    if settings.ROOT is None:
        return f"SECRET_KEY is not set. Set it: {export}"
    if not (settings.ROOT / ".env").exists():
        advice = f"There is no .env in {settings.ROOT}: `{command('init')}` makes one, with a key of its own."
        return advice if env == "development" else f"{advice} (In production SECRET_KEY is set instead: {export})"
    if env == "development":
        return f"SECRET_KEY is not set in {settings.ROOT / '.env'}. Make one: {command('init')}"
    return f"SECRET_KEY is not set, and in production .env is not read. Set it: {export}"


def refused(variable: str, place: str, problem: policy.Refusal) -> settings.StartupError:
    """The one line for a key that was refused: what, where, why, and the cure."""
    empty = problem.id == "key-empty"
    if variable != "SECRET_KEY":
        cure = f"Without it: unset {variable}" if place == "the environment" else f"Remove {variable} from {place}."
    elif place == "the environment":
        cure = f'{"Unset it, or set it" if empty else "Set another"}: export SECRET_KEY="$({command("generate")})"'
    elif place == ".env":
        cure = f"{'Make one' if empty else 'Remove that line, then make one'}: {command('init')}"
    else:
        cure = f"Put another there: {command('generate')}"
    return settings.StartupError(f"{variable} in {place} {problem.reason} [{problem.id}]. {cure}")
