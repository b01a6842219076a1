"""Where the signing keys come from: a class for each source, and their order.

A new source is a class that overrides what differs from Source, and a place in SOURCES.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from click import ClickException

from .env_file import change_dotenv
from .key_text import parse_fallbacks, to_variables
from .layers import APPLICATION
from .loading import Record
from .problems import Problem, StartupError, command, quoted
from .ring import Ring, Role, Source, TextKey, generate
from .secret_files import KEY_VARIABLES, key_files, read_secret, write_key_files


class ThisProcess(Source):
    """A key that only this process has: for tests, which read no other."""

    name = "this process"

    def applies(self, record: Record) -> bool:
        return record.environment.is_test

    def read(self, record: Record) -> Ring | None:
        return Ring(self, process_key())


class SecretFiles(Source):
    """Files that a platform mounts: `secret_key`, `secret_key_next`, `secret_key_fallbacks`."""

    name = "secret files"
    writes_one_by_one = True

    def read(self, record: Record) -> Ring | None:
        files = key_files(record.variables)
        if not files:
            return None
        variables = key_variables(record)
        if variables:
            names = " and ".join(variables)
            message = f"{names} and the secret file {files['SECRET_KEY']} are both set"
            fix = f"unset {' '.join(variables)}"
            if any(record.is_read_by_application(name) for name in variables):
                fix = f"Remove the secret file: the application's own code reads {names}."
            raise StartupError(Problem("key-twice", message, fix))
        texts = read_key_files(files, record)
        return Ring(
            self,
            current=texts["SECRET_KEY"],
            next=texts["SECRET_KEY_NEXT"] or None,  # an empty file means that there is no such key
            fallbacks=parse_fallbacks(texts["SECRET_KEY_FALLBACKS"] or None),
            since=written(files["SECRET_KEY"]),
        )

    def write(self, ring: Ring, record: Record) -> Path | None:
        files = key_files(record.variables)
        folder = files["SECRET_KEY"].parent
        if not os.access(folder, os.W_OK):
            message = f"{folder} can't be written: a service has copies of its keys."
            fix = f"CREDENTIALS_DIRECTORY=FOLDER {command('key ...')}"
            raise ClickException(f"{message} Run it on the originals: {fix}")
        write_key_files(files, to_variables(ring))
        return folder

    def fix(self, role: Role, ring: Ring, record: Record) -> str:
        path = quoted(key_files(record.variables)[role.variable])
        if role.place:
            return f"Remove key {role.place} from {path}."
        if role.variable == "SECRET_KEY_NEXT":
            return f"truncate -s 0 {path}"
        return super().fix(role, ring, record)


class Variables(Source):
    """SECRET_KEY, SECRET_KEY_NEXT and SECRET_KEY_FALLBACKS in the environment, verbatim."""

    name = "the environment"

    def read(self, record: Record) -> Ring | None:
        if not key_variables(record):
            return None
        return ring_of(self, os.environ)

    def fix(self, role: Role, ring: Ring, record: Record) -> str:
        if role.variable == "SECRET_KEY" and record.environment.is_local:
            unset = "unset SECRET_KEY"  # so that .env's counts
            return unset if "SECRET_KEY" in record.dotenv else f"{unset} && {command('key init')}"
        if role.variable == "SECRET_KEY":
            return missing(record).fix
        others = [place for place in range(1, len(ring.fallbacks) + 1) if place != role.place]
        if not role.place or not others:
            return f"unset {role.variable}"
        fields = ",".join(str(place) for place in others)
        separated = f"printf %s \"${role.variable}\" | tr -s '\\n' ,"
        return f'export {role.variable}="$({separated} | cut -d, -f{fields})"'


@dataclass
class Configuration(Source):
    """SECRET_KEY in code or in a configuration file, with whatever is beside it there."""

    name: str = APPLICATION

    def read(self, record: Record) -> Ring | None:
        if record.config.get("SECRET_KEY") is None:
            return None
        current, following, fallbacks = (record.config.get(name) for name in KEY_VARIABLES)
        source = Configuration(record.origins["SECRET_KEY"])
        return Ring(source, current, following, () if fallbacks is None else fallbacks)

    def mistake(self, text: str) -> str | None:
        return None  # Python holds any key

    def fix(self, role: Role, ring: Ring, record: Record) -> str:
        """A key in code goes, and no other takes its place there."""
        if self.name != APPLICATION:
            return super().fix(role, ring, record)
        if role.variable != "SECRET_KEY":
            place = f"key {role.place} of " if role.place else ""
            return f"Remove {place}{role.variable} from the code."
        if not record.environment.is_local:
            return f"Remove SECRET_KEY from the code, then: {missing(record).fix}"
        if "SECRET_KEY" in record.dotenv:
            return f"Remove SECRET_KEY from the code: {record.env_path} has one."
        return f"Remove SECRET_KEY from the code, then: {command('key init')}"

    def list_fix(self, ring: Ring, record: Record) -> str:
        setting = "SECRET_KEY_FALLBACKS"
        expression = "None"
        if ring.fallbacks and isinstance(ring.fallbacks, str):
            expression = f'{setting}.split(",")'
        elif ring.fallbacks and isinstance(ring.fallbacks, bytes):
            expression = f"[{setting}]"
        return f"{setting} = {expression}  # in {record.place(record.origins[setting])}"


class DotEnv(Source):
    """The project's .env, which belongs to one developer's machine."""

    name = ".env"

    def applies(self, record: Record) -> bool:
        return record.environment.is_local

    def read(self, record: Record) -> Ring | None:
        if "SECRET_KEY" not in record.dotenv:
            return None
        return ring_of(self, record.dotenv, written(record.env_path))

    def write(self, ring: Ring, record: Record) -> Path | None:
        change_dotenv(record.root, to_variables(ring))
        return record.root

    def mistake(self, text: str) -> str | None:
        found = super().mistake(text)
        if found is None and text[0] in "'\"":
            return "begins with a quote, which a line of .env can't hold"
        return found

    def fix(self, role: Role, ring: Ring, record: Record) -> str:
        return command("key revoke")


# The order in which keys are looked for. The first source that has one decides.
SOURCES: list[Source] = [ThisProcess(), SecretFiles(), Variables(), Configuration(), DotEnv()]


def read(record: Record) -> Ring:
    """The keys of the first source that has some, unchecked. Raises StartupError."""
    for source in SOURCES:
        if source.applies(record):
            ring = source.read(record)
            if ring is not None:
                return ring
    raise StartupError(missing(record))


def missing(record: Record) -> Problem:
    """What to do where no source has a key."""
    if record.is_bare_clone:
        message = f"There is no .env in {record.root}, and so no key to sign with"
        return Problem("key-missing", message, command("key init"))
    if record.environment.is_local:
        return Problem("key-missing", "SECRET_KEY is not set in .env", command("key init"))
    fix = f'export SECRET_KEY="$({command("key generate")})"'
    for variable in ("SECRET_KEY", "SECRET_KEY_FILE"):
        if record.is_from_dotenv(variable):
            message = f"{variable} is only in {record.env_path}, which is for development"
            return Problem("key-development", message, fix)
    return Problem("key-missing", "SECRET_KEY is not set", fix)


def key_variables(record: Record) -> list[str]:
    """The key variables of this process, but for those that `flask` has made of .env's lines."""
    names = [name for name in KEY_VARIABLES if name in os.environ]
    return [name for name in names if not record.is_from_dotenv(name)]


def ring_of(source: Source, values: Mapping[str, str], since: datetime | None = None) -> Ring:
    """The ring that variables describe."""
    current, following, fallbacks = (values.get(name) for name in KEY_VARIABLES)
    return Ring(source, current, following, parse_fallbacks(fallbacks), since)


def read_key_files(files: Mapping[str, Path], record: Record) -> dict[str, str | None]:
    """The texts of the key files. Two may be missing, unless a variable names them."""
    texts = {}
    for name, path in files.items():
        is_needed = name == "SECRET_KEY" or f"{name}_FILE" in record.variables
        texts[name] = read_secret(path, name) if is_needed or path.exists() else None
    return texts


def written(path: Path) -> datetime | None:
    """When the file was written, or moved to its place; None if it has just gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return datetime.fromtimestamp(max(status.st_mtime, status.st_ctime), UTC)


@cache
def process_key() -> TextKey:
    """The key of this process alone."""
    return generate()
