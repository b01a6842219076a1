"""Checks of the files that hold secrets: who can read them, and whether git has them."""

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from .. import history, layers, sources
from ..loading import Record
from ..problems import Problem, StartupError, quoted
from ..redaction import secrets_of
from ..secret_files import key_files, read_secret
from . import keys as signing_keys

SHORTEST_SECRET = 12  # characters; a shorter one stands in many a file by chance

OTHERS = 0o007  # a platform may mount secret files for a group
GROUP_AND_OTHERS = 0o077


def problems(record: Record) -> Iterator[Problem]:
    """Files that others can read, and keys that git has. git may take long."""
    yield from readable_by_others(record)
    secrets = [key for key in keys_of(record) if len(key) >= SHORTEST_SECRET]
    if secrets:
        yield from history.problems(record.root, secrets)


def readable_by_others(record: Record) -> Iterator[Problem]:
    """Files with keys or secrets whose mode lets other users of the machine read them."""
    if os.name != "posix":
        return
    for path, bits in private_files(record).items():
        mode = mode_of(path)
        if mode & bits:
            message = f"Other users can read {path} ({mode:04o}), which holds secrets"
            yield Problem("file-mode", message, f"chmod 600 {quoted(path)}")


def mode_of(path: Path) -> int:
    """The permission bits of a regular file; 0 without one."""
    try:
        status = path.stat()
    except OSError:
        return 0
    return stat.S_IMODE(status.st_mode) if stat.S_ISREG(status.st_mode) else 0


def private_files(record: Record) -> dict[Path, int]:
    """The files that hold secrets, with the bits of the mode that they must not have."""
    found = dict.fromkeys([record.env_path, record.instance_config], GROUP_AND_OTHERS)
    paths = list(layers.secret_files(record.config, record.variables).values())
    with suppress(StartupError):  # which another check names
        paths += key_files(record.variables).values()
    for path in paths:
        if os.access(path.parent, os.W_OK):  # what a platform mounts read-only can't be changed
            found[path] = OTHERS
    return found


def keys_of(record: Record) -> list[bytes]:
    """Every key and secret file of this machine, good or bad, as bytes."""
    found: list[object] = [*signing_keys.dotenv_keys(record)]
    with suppress(StartupError):
        ring = sources.read(record)
        found += [ring.current, ring.next]
        found += ring.fallbacks if isinstance(ring.fallbacks, list | tuple) else [ring.fallbacks]
    for name, path in layers.secret_files(record.config, record.variables).items():
        with suppress(StartupError):
            found.append(read_secret(path, name))
    return in_bytes(found)


def in_bytes(values: list[object]) -> list[bytes]:
    """The texts and bytes in `values`, each once and in a stable order."""
    found = {value.encode() for value in values if isinstance(value, str)}
    found |= {bytes(value) for value in values if isinstance(value, bytes)}
    return sorted(found)


def staged(root: Path, dotenv: Mapping[str, str], keys: list[bytes]) -> list[str]:
    """The staged files, in the whole repository, that hold one of `keys` or a secret of .env.

    A secret of .env is what its name says, by the words that logs are redacted by, and the
    password of a URL. Raises history.GitError.
    """
    secrets = [*keys, *(secret.encode() for secret in secrets_of(dotenv))]
    wanted = sorted({secret for secret in secrets if len(secret) >= SHORTEST_SECRET})
    if not wanted:
        return []
    return history.staged(root, wanted)
