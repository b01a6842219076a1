"""The signing keys: where they come from, and their way into the application past the checks."""

import os
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
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

ENVIRONMENT, SECRET_FILES, ENV_FILE = "the environment", "secret files", ".env"


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
        return [*self.fallbacks, *([] if self.next in (None, self.current) else [self.next])]


def generate() -> TextKey:
    """A fresh key: 256 bits from the operating system, as 64 hex digits."""
    return TextKey(secrets.token_hex(32))


process_key = cache(generate)  # the key of this process alone, for tests


def read(config: Config) -> KeyRing:
    """The keys of the first source: variables or files, the configuration, .env in development. Raises StartupError."""
    if config["APP_ENV"] == "testing":
        return KeyRing("this process", process_key())
    source, path = ENV_FILE, project_root(config.root_path) / ".env"
    values = read_dotenv(path) if config["APP_ENV"] == "development" else {}
    # The flask command has made variables of the lines of .env, and expanded ${NAME} in them.
    own = [name for name, value in values.items() if os.environ.get(name) == value or "${" in value]
    names = [name for name in KEY_VARIABLES if name in os.environ and name not in own]
    files = key_files()
    if files and names:
        message = f"{' and '.join(names)} and the secret file {files['SECRET_KEY']} are both set"
        raise StartupError(Problem("key-twice", message, f"unset {' '.join(names)}"))
    if files:
        source, path = SECRET_FILES, files["SECRET_KEY"]
        needed = {"SECRET_KEY", *(name for name in KEY_VARIABLES if f"{name}_FILE" in os.environ)}
        texts = {name: read_secret(file, name) for name, file in files.items() if name in needed or file.exists()}
        texts["SECRET_KEY_FALLBACKS"] = ",".join(texts.get("SECRET_KEY_FALLBACKS", "").replace(",", " ").split())
        values = {name: text for name, text in texts.items() if text or name == "SECRET_KEY"}  # others may be empty
    elif names:
        source, values = ENVIRONMENT, dict(os.environ)
    elif config.get("SECRET_KEY") is not None:
        current, following, older = (config.get(name) for name in KEY_VARIABLES)
        return KeyRing(settings.origins(config)["SECRET_KEY"], current, following, () if older is None else older)
    elif "SECRET_KEY" not in values:
        raise StartupError(missing(config))
    current, following, older = (values.get(name) for name in KEY_VARIABLES)
    since = None if source == ENVIRONMENT else datetime.fromtimestamp(max(path.stat()[-2:]), UTC)  # written or moved
    return KeyRing(source, current, following, () if older is None else settings.entries(older), since)


def to_variables(ring: KeyRing) -> dict[str, str | None]:
    """The variables of `ring`, in the order in which to write them, None for one to remove. Raises StartupError."""
    if any(not isinstance(key, str) or re.search(r"[\s,'\"#]", key) for key in (ring.current, *ring.verifying())):
        message = "A key of bytes, or with white space, a quote, # or a comma, can't be kept in variables"
        raise StartupError(Problem("key-characters", message, f"{command('key revoke')}  # which logs everyone out"))
    older = ",".join(ring.fallbacks) or None
    return {"SECRET_KEY_FALLBACKS": older, "SECRET_KEY": str(ring.current), "SECRET_KEY_NEXT": ring.next}


def check(config: Config) -> tuple[KeyRing | None, list[Problem]]:
    """The keys that `config` leads to, each once, in types that do not show them; and what is wrong with them."""
    for name in sorted(os.environ):
        if re.fullmatch("FLASK_SECRET_KEY(_NEXT|_FALLBACKS)?(_FILE|__.*)?", name):
            message = f"Flask reads {name} as JSON, which turns digits into a number; without FLASK_ it is verbatim"
            return None, [Problem("key-prefixed", message, f"unset {quoted(name)}")]
    try:
        ring = read(config)
    except StartupError as error:
        return None, error.problems
    problems = list(problems_of(ring, config))
    if any(problem.level == "error" for problem in problems):
        return None, problems

    def key(value: Any) -> Any:
        return value if value is None else TextKey(value) if isinstance(value, str) else BytesKey(value)

    older = [key(each) for each in dict.fromkeys(ring.fallbacks) if each not in (ring.current, ring.next)]
    return KeyRing(ring.source, key(ring.current), key(ring.next), tuple(older), ring.since), problems


def load(config: Config) -> KeyRing:
    """The keys that `config` leads to. Raises StartupError."""
    ring, problems = check(config)
    if ring is None:
        raise StartupError(*problems)
    return ring


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
            is_half = problem[0] == "key-repeated" and ring.source == SECRET_FILES  # `promote` was stopped between two
            found = Problem(problem[0], f"{variable} in {ring.source} {problem[1]}", fix)
            yield found._replace(fix=command("key promote"), level="warning") if is_half else found


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
