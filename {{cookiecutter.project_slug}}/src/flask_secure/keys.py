"""The signing keys: where they come from, and their way into the application past the checks."""

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import blake2s
from pathlib import Path
from typing import Any, NamedTuple

from flask import Config, Flask

from . import settings
from .files import KEY_VARIABLES, key_files, read_dotenv, read_secret
from .problems import Problem, StartupError, command, project_root, quoted
from .redaction import SecretBytes, SecretText, hide
from .strength import weakness

SINCE = "SECRET_KEY_SINCE"
ENVIRONMENT, SECRET_FILES, ENV_FILE = "the environment", "secret files", ".env"
MAXIMUM_FALLBACKS = 8  # each one costs a signature on every forged cookie


def fingerprint(key: str | bytes) -> str:
    """Twelve hex digits that tell keys apart, and tell nothing about a key of 128 bits."""
    data = key.encode() if isinstance(key, str) else key
    return blake2s(data, digest_size=6, person=b"flaskkey").hexdigest()


class TextKey(SecretText):
    """A key whose `repr` is its fingerprint: in tracebacks, in the toolbar and in `flask config`."""

    fingerprint = property(fingerprint)

    def __repr__(self) -> str:
        return f"<key {self.fingerprint}>"


class BytesKey(SecretBytes):
    """The same for a key of bytes, such as os.urandom gives."""

    fingerprint = property(fingerprint)
    __repr__ = __str__ = TextKey.__repr__


class KeyRing(NamedTuple):
    """The keys of one source, of any type until they are checked."""

    source: str
    current: Any  # signs; the others only verify
    next: Any = None
    fallbacks: Any = ()  # older keys, the oldest first, as in Flask
    since: Any = None  # when `current` began to sign, a datetime

    def verifying(self) -> list[Any]:
        """The keys that only verify; Flask tries the last one first."""
        return [*self.fallbacks, *([self.next] if self.next is not None else [])]

    def retirement(self, lifetime: timedelta) -> datetime | None:
        """When the older keys can be retired: `lifetime` after the promotion, if there are some and that is known."""
        return self.since + lifetime if self.fallbacks and self.since else None


def generate() -> TextKey:
    """A fresh key: 256 bits from the operating system, as 64 hex digits."""
    return TextKey(secrets.token_hex(32))


process_key = cache(generate)  # the key of this process alone, for tests


def read(config: Config) -> KeyRing | None:
    """The keys of the first source: variables or files, the configuration, .env in development. Raises StartupError."""
    if config["APP_ENV"] == "testing":
        return KeyRing("this process", process_key())
    path = project_root(config.root_path) / ".env"
    values = read_dotenv(path) if config["APP_ENV"] == "development" else {}
    # The flask command has made variables of the lines of .env, and expanded ${NAME} in them.
    own = [name for name, value in values.items() if os.environ.get(name) == value or "${" in value]
    names = [name for name in KEY_VARIABLES if name in os.environ and name not in own]
    files = key_files()
    if files and names:
        message = f"{' and '.join(names)} and the secret file {files['SECRET_KEY']} are both set"
        raise StartupError(Problem("key-twice", message, f"unset {' '.join(names)}"))
    if files:
        texts = {name: read_secret(path) for name, path in files.items()}
        texts["SECRET_KEY_FALLBACKS"] = ",".join(texts.get("SECRET_KEY_FALLBACKS", "").replace(",", " ").split())
        for name in [name for name, text in texts.items() if not text and name != "SECRET_KEY"]:
            del texts[name]  # platforms mount files that must exist
        return from_variables(texts, SECRET_FILES, os.environ.get(SINCE) or changed_at(files["SECRET_KEY"]))
    if names:
        return from_variables(os.environ, ENVIRONMENT, os.environ.get(SINCE))
    if config.get("SECRET_KEY") is not None:
        current, following, older = (config.get(variable) for variable in KEY_VARIABLES)
        fallbacks = () if older is None else older
        return KeyRing(settings.origins(config)["SECRET_KEY"], current, following, fallbacks)
    return from_variables(values, ENV_FILE, values.get(SINCE) or changed_at(path)) if "SECRET_KEY" in values else None


def from_variables(values: Mapping[str, str], source: str, since: str | datetime | None) -> KeyRing:
    """The keys in variables, each verbatim; the fallbacks are separated by commas. Raises StartupError."""
    current, following, fallbacks = (values.get(variable) for variable in KEY_VARIABLES)
    older = () if fallbacks is None else settings.entries(fallbacks)
    with suppress(ValueError):  # then `retire` says that it is not known
        since = datetime.fromisoformat(since) if isinstance(since, str) else since
    since = since if isinstance(since, datetime) else None
    since = since.replace(tzinfo=UTC) if since and not since.tzinfo else since
    return KeyRing(source, current, following, older, since if since and since.year < 3000 else None)


def to_variables(ring: KeyRing) -> dict[str, str | None]:
    """The variables that say `ring`, in an order that loses no key, None for one to remove. Raises StartupError."""
    if any(not isinstance(key, str) or re.search(r"[\s,'\"#]", key) for key in (ring.current, *ring.verifying())):
        message = "A key of bytes, or with white space, a quote, # or a comma, can't be kept in variables"
        raise StartupError(Problem("key-characters", message, f"{command('key revoke')}  # which logs everyone out"))
    since = f"{ring.since:%Y-%m-%dT%H:%M:%SZ}" if ring.since else None
    older = ",".join(ring.fallbacks) or None
    return {KEY_VARIABLES[2]: older, KEY_VARIABLES[0]: str(ring.current), KEY_VARIABLES[1]: ring.next, SINCE: since}


def changed_at(path: Path) -> datetime:
    return datetime.fromtimestamp(int(max(path.stat().st_mtime, path.stat().st_ctime)), UTC)


def load(config: Config) -> KeyRing:
    """The keys that `config` leads to, checked, in types that do not show them. Raises StartupError."""
    for name in sorted(os.environ):
        if name.startswith("FLASK_") and name.removeprefix("FLASK_").partition("__")[0] in KEY_VARIABLES:
            message = f"Flask reads {name} as JSON, which turns digits into a number; without FLASK_ it is verbatim"
            raise StartupError(Problem("key-prefixed", message, f"unset {quoted(name)}"))
    ring = read(config)
    if ring is None or (problems := list(problems_of(ring, config))):
        raise StartupError(*([missing(config)] if ring is None else problems))

    def key(value: Any) -> Any:
        return value if value is None else TextKey(value) if isinstance(value, str) else BytesKey(value)

    return KeyRing(ring.source, key(ring.current), key(ring.next), tuple(map(key, ring.fallbacks)), ring.since)


def check(config: Config) -> Iterator[Problem]:
    """Problems of the keys that `config` leads to."""
    try:
        load(config)
    except StartupError as error:
        yield from error.problems


def problems_of(ring: KeyRing, config: Config) -> Iterator[Problem]:
    """Problems of the keys in `ring`, in any role."""
    roles = [("SECRET_KEY", ring.current), *([("SECRET_KEY_NEXT", ring.next)] if ring.next is not None else [])]
    if isinstance(ring.fallbacks, list | tuple):
        roles += [("SECRET_KEY_FALLBACKS", key) for key in ring.fallbacks]
    else:  # Flask extends a list by it, so that every character of a text becomes a key
        fix = settings.fix(config, "SECRET_KEY_FALLBACKS", None)
        yield Problem("fallbacks-type", f"SECRET_KEY_FALLBACKS in {ring.source} is not a list of keys", fix)
    known = development_keys(project_root(config.root_path)) if config["APP_ENV"] == "production" else []
    for position, (variable, key) in enumerate(roles):
        problem = weakness(key)
        if not problem and (key.decode(errors="replace") if isinstance(key, bytes) else key) in known:
            problem = "key-development", "is the development key of this project's .env"
        elif not problem and key in [earlier for _, earlier in roles[:position]]:
            problem = "key-repeated", "holds a key that is there already"
        if problem:
            unset = f"unset {variable}" if position else missing(config).fix
            fixes = {ENV_FILE: command("key revoke"), ENVIRONMENT: unset}
            fix = fixes.get(ring.source, f"{command('key generate')}  # for {variable} in {ring.source}")
            yield Problem(problem[0], f"{variable} in {ring.source} {problem[1]}", fix)


def development_keys(root: Path) -> list[str]:
    """The keys in a developer's `root`/.env. Outside a project, a production host may keep its variables there."""
    values = read_dotenv(root / ".env")
    is_own = (root / "pyproject.toml").is_file() or values.get("APP_ENV") == "development"
    return [each for name in KEY_VARIABLES for each in settings.entries(values.get(name))] if is_own else []


def missing(config: Config) -> Problem:
    """What to do where no source has a key."""
    if config["APP_ENV"] == "development":
        return Problem("key-missing", "SECRET_KEY is not set in .env", command("key init"))
    return Problem("key-missing", "SECRET_KEY is not set", f'export SECRET_KEY="$({command("key generate")})"')


def init_app(app: Flask, ring: KeyRing) -> None:
    """Give `app` the keys of `ring`, and hide them from the logs."""
    verifying = ring.verifying()
    for key in (ring.current, *verifying):
        hide(key, repr(key))
    app.config.update(SECRET_KEY=ring.current, SECRET_KEY_FALLBACKS=verifying)
    # Flask-WTF, where an owner adds it, ignores fallbacks but takes a list, the signing key last.
    app.config["WTF_CSRF_SECRET_KEY"] = [*verifying, ring.current]
