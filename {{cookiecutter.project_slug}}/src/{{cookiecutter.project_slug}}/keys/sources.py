"""Where the keys come from, and their way into the application, past the policy."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from flask import Config, Flask

from .. import settings
from ..logs.redaction import hide
from . import policy, store
from .ring import SINCE, VARIABLES, Found, KeyRing, changed_at, process_key, redacted
from .session import RingSessionInterface

EXTENSION = "keys"
ENVIRONMENT, CONFIG, ENV_FILE, PROCESS = "the environment", "the configuration files", ".env", "this process"


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
    for key in ring:
        hide(key if isinstance(key, str) else repr(bytes(key))[2:-1], repr(key))
    app.config["SECRET_KEY"] = ring.current
    app.config["SECRET_KEY_FALLBACKS"] = ring.fallbacks()
    # Flask-WTF, where somebody adds it, ignores fallbacks but takes a list, the signing key last.
    app.config["WTF_CSRF_SECRET_KEY"] = list(ring)
    app.session_interface = RingSessionInterface()


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
        raise missing(config["APP_ENV"])
    return Loaded(judge(found, config["APP_ENV"]), found.place)


def find(config: Config) -> Found | None:
    """The first source that speaks: the environment, the platform's store, configuration files, .env."""
    if config["APP_ENV"] == "testing":
        return Found(PROCESS, process_key())
    stored = store.find(os.environ)
    names = [variable for variable in VARIABLES if variable in os.environ]
    current, following, fallbacks = (config.get(variable) for variable in VARIABLES)
    if (stored or names) and fallbacks is not None:
        raise settings.StartupError(
            "fallbacks-place",
            f"SECRET_KEY_FALLBACKS in {CONFIG} would not be used, as SECRET_KEY comes from elsewhere",
            command("show"),
        )
    if names:
        variables = from_variables(os.environ, ENVIRONMENT)
        if stored is None:
            return variables
        if stored.current != variables.current or names != ["SECRET_KEY"]:
            raise settings.StartupError(
                "key-twice",
                f"{' and '.join(names)} in the environment and {store.PLACE} ({store.VARIABLE}) differ",
                f"unset {' '.join(names)}",
            )
    if stored:
        return stored
    if current is not None:
        return Found(CONFIG, current, following, () if fallbacks is None else fallbacks, config.get(SINCE))
    if config["APP_ENV"] == "development" and settings.ROOT and (values := settings.dotenv()):
        return from_variables(values, ENV_FILE, changed_at(settings.ROOT / ".env"))
    return None


def from_variables(values: Mapping[str, str], place: str, changed: datetime | None = None) -> Found:
    """The ring in the variables of an environment or an .env file, each key taken verbatim.

    Where nothing says since when the key signs, it is taken to be since the file was `changed`: no earlier.
    """
    current, following, fallbacks = (values.get(variable) for variable in VARIABLES)
    return Found(
        place, current, following, () if fallbacks is None else fallbacks.split(","), values.get(SINCE, changed)
    )


def judge(found: Found, env: str) -> KeyRing:
    """The ring of what was found. Raises settings.StartupError at the first key that is refused."""
    for refusal in refusals(found, env):
        raise refusal
    return KeyRing(
        redacted(found.current),  # type: ignore[arg-type]  # the policy let text and bytes through
        redacted(found.next) if found.next else None,  # type: ignore[arg-type]
        tuple(redacted(key) for key in found.previous),  # type: ignore[attr-defined]
        parsed_since(found),
    )


def refusals(found: Found, env: str) -> Iterator[settings.StartupError]:
    """Everything that the policy has against what was found."""
    keys = [("SECRET_KEY", found.current)]
    if found.next is not None:
        keys.append(("SECRET_KEY_NEXT", found.next))
    if problem := policy.fallbacks_refusal(found.previous):
        yield refused("SECRET_KEY_FALLBACKS", found.place, problem)
    else:
        keys += [("SECRET_KEY_FALLBACKS", key) for key in found.previous]  # type: ignore[attr-defined]
    own = development_keys() if env == "production" else set()
    for position, (variable, key) in enumerate(keys):
        problem = policy.refusal(key) or policy.development(key, own)
        if not problem and position:
            problem = policy.repeated(key, found.current)
        if not problem and not position and key == published_example():
            problem = policy.Refusal("key-example", "is the one in .env.example, which is in git")
        if problem:
            yield refused(variable, found.place, problem)
    try:
        parsed_since(found)
    except settings.StartupError as error:
        yield error


def parsed_since(found: Found) -> datetime | None:
    """When the current key began to sign, as its source says. Raises settings.StartupError."""
    if found.since is None:
        return None
    try:
        since = found.since if isinstance(found.since, datetime) else datetime.fromisoformat(str(found.since))
    except ValueError:
        raise settings.StartupError(
            "since-format",
            f"{SINCE} in {found.place} is no date",
            f"It looks like {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        ) from None
    return since if since.tzinfo else since.replace(tzinfo=UTC)


def development_keys() -> set[str]:
    """The keys in the project's .env, where there are any and production can read it."""
    with suppress(settings.StartupError):
        values = settings.dotenv()
        return {key for variable in VARIABLES for key in values.get(variable, "").split(",") if key}
    return set()


def published_example() -> str | None:
    """The key that somebody has put into the project's .env.example."""
    with suppress(settings.StartupError):
        return settings.dotenv(".env.example").get("SECRET_KEY")
    return None


def refuse_prefixed() -> None:
    """Flask reads FLASK_ variables as JSON, which turns the key 123456 into a number."""
    for variable in VARIABLES:
        if (prefixed := f"FLASK_{variable}") in os.environ:
            raise settings.StartupError(
                "key-prefixed",
                f"{prefixed} is set, and Flask would read it as JSON, not as a key; the variable is {variable}",
                f"unset {prefixed}",
            )


def command(name: str) -> str:
    """The line that runs `flask key NAME` here."""
    return settings.flask_command(f"key {name}")


def missing(env: str) -> settings.StartupError:
    """What to do where no source speaks."""
    export, init = f'export SECRET_KEY="$({command("generate")})"', command("init")
    path = settings.ROOT and settings.ROOT / ".env"
    if path is None:
        return settings.StartupError("key-missing", "SECRET_KEY is not set", export)
    if not path.exists():
        cure = "" if env == "development" else f"(In production SECRET_KEY is set instead: {export})"
        return settings.StartupError(
            "key-missing", f"There is no .env in {settings.ROOT}: `{init}` makes one, with a key of its own", cure
        )
    if env == "development":
        return settings.StartupError("key-missing", f"SECRET_KEY is not set in {path}", init)
    if "APP_ENV" not in os.environ and "APP_ENV" not in settings.dotenv():
        problem = "Nothing says APP_ENV, so this is production, where .env is not read"
        return settings.StartupError("key-missing", problem, f"echo APP_ENV=development >> {path}")
    problem = "SECRET_KEY is not set, and in production .env is not read"
    return settings.StartupError("key-missing", problem, export)


def refused(variable: str, place: str, problem: policy.Refusal) -> settings.StartupError:
    """The one line for a key that was refused: what, where, why, and the cure."""
    if place == ENVIRONMENT:
        cure = f'export SECRET_KEY="$({command("generate")})"' if variable == "SECRET_KEY" else f"unset {variable}"
    elif variable != "SECRET_KEY":
        cure = f"Take it out of {variable} in {place}."
    elif place == ENV_FILE:
        cure = command("init" if problem.id in ("key-empty", "key-missing") else "revoke")
    else:
        cure = f"{command('generate')}  # and put that there"
    return settings.StartupError(problem.id, f"{variable} in {place} {problem.reason}", cure)
