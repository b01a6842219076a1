"""`flask key`: generate, show and rotate the keys that sign sessions."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click

from . import rotation, sources
from .application import configured, named_application
from .checks import keys
from .env_file import change_dotenv, read_dotenv, say_development
from .files import remove_drafts
from .key_text import to_variables
from .loading import Record
from .problems import command, project_root
from .ring import Ring, fingerprint, generate
from .secret_files import key_files
from .strength import bits

print_option = click.option(
    "--print", "printed", is_flag=True, help="Print the variables; change no file."
)


@click.group("key")
def key() -> None:
    """Generate, show and rotate the keys that sign sessions."""


@key.command("generate")
def generate_command() -> None:
    """Print a new key and nothing else."""
    click.echo(str(generate()))


@key.command()
def init() -> None:
    """Generate the key of this machine, in .env, unless there is one."""
    root = project_folder()
    lock(root)
    path = root / ".env"
    value = read_dotenv(path).get("SECRET_KEY")
    state = "has a key already; it stays as it is"
    if not value:
        value = generate()
        state = "has a new key"
        change_dotenv(root, {"SECRET_KEY": value})
        path.chmod(0o600)
    click.echo(f"{path} {state} (fingerprint {fingerprint(value)}).")
    if "APP_ENV" not in read_dotenv(path):
        click.echo(f"It does not say APP_ENV, so this is production: {say_development(path)}")


@key.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def show(as_json: bool) -> None:
    """Show which keys are in use, by their fingerprints, and where they come from."""
    app, record = configured()
    ring = keys.load(record)
    due = None
    if ring.since and ring.fallbacks:
        due = ring.since + app.permanent_session_lifetime
    report: dict[str, Any] = {
        "environment": record.environment.name,
        "source": ring.source.name,
        "since": ring.since,
        "retire_after": due,
    }
    rows = [described(role, value) for role, value in roles(ring)]
    if as_json:
        click.echo(json.dumps({**report, "keys": rows}, indent=2, default=str))
        return
    for name, value in report.items():
        if value:
            click.echo(f"{name.replace('_', ' '):<13} {value}")
    for row in rows:
        click.echo(f"{row['role']:<13} {row['fingerprint']}  at most {row['bits']} bits")


def roles(ring: Ring) -> Iterator[tuple[str, Any]]:
    """The keys with what each does; of the older ones the newest first, as they are tried."""
    yield "current", ring.current
    if ring.next is not None:
        yield "next", ring.next
    for older in reversed(ring.fallbacks):
        yield "previous", older


def described(role: str, value: Any) -> dict[str, Any]:
    return {
        "role": role,
        "fingerprint": fingerprint(value),
        "length": len(value),
        "bits": bits(value),
    }


# The steps of a rotation. What each does to a ring is in rotation.py.


@key.command()
@print_option
def stage(printed: bool) -> None:
    """Add the next key, which only verifies until it is promoted."""
    with changing() as (ring, record):
        save(rotation.stage(ring), record, printed)
    click.echo(f"Once every instance has it: {command('key promote')}", err=True)


@key.command()
@print_option
def promote(printed: bool) -> None:
    """Let the staged key sign; the one before it verifies."""
    with changing() as (ring, record):
        save(rotation.promote(ring), record, printed)
    click.echo(f"When its sessions have expired: {command('key retire')}", err=True)


@key.command()
@print_option
@click.option("--force", is_flag=True, help="Do not wait for the sessions of an older key.")
def retire(printed: bool, force: bool) -> None:
    """Drop the older keys, once no session that they signed can be valid."""
    with changing() as (ring, record):
        save(rotation.retire(ring, lifetime(record), force=force), record, printed)


@key.command()
@print_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def revoke(printed: bool, yes: bool) -> None:
    """Replace a key that has leaked, and keep nothing: everyone is logged out."""
    with changing(read=sources.read) as (ring, record):  # a bad key, too, can be revoked
        if not yes:
            question = "Every session becomes invalid, and everyone is logged out. Go on?"
            click.confirm(question, abort=True, err=True)
        save(rotation.revoke(ring), record, printed)


@contextmanager
def changing(read: Callable[[Record], Ring] = keys.load) -> Iterator[tuple[Ring, Record]]:
    """The ring as it is, while no other command changes it."""
    lock(key_folder())
    record = configured()[1]
    yield read(record), record


def lifetime(record: Record) -> timedelta:
    value = record.config["PERMANENT_SESSION_LIFETIME"]
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


def project_folder() -> Path:
    return project_root(named_application()[1])


def key_folder() -> Path:
    """Where the keys lie in files: the secret files' folder, or the project's with its .env."""
    files = key_files(os.environ)  # the configuration is loaded later, under the lock
    return files["SECRET_KEY"].parent if files else project_folder()


def lock(folder: Path) -> None:
    """Let one command at a time change the keys in `folder`; the others wait.

    What a killed command has left is removed. Windows has no such lock.
    """
    with suppress(ImportError, OSError):
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
        click.get_current_context().call_on_close(partial(os.close, descriptor))
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        remove_drafts(folder)
        remove_drafts((folder / ".env").resolve().parent)


def save(ring: Ring, record: Record, printed: bool) -> None:
    """Write the keys to where they came from; on request, or if that can't be done, print them."""
    folder = None if printed else ring.source.write(ring, record)
    if folder is None:
        print_variables(ring)
        return
    verifying = ", ".join(fingerprint(each) for each in ring.verifying()) or "none"
    signs = fingerprint(ring.current)
    click.echo(f"{folder}: {signs} signs, {verifying} verify. Restart the service.")


def print_variables(ring: Ring) -> None:
    """NAME=VALUE lines alone on standard output; what to remove is said on standard error."""
    unset = []
    for name, value in to_variables(ring).items():
        if value is None:
            unset.append(name)
        else:
            click.echo(f"{name}={value}")
    source, names = ring.source.name, ", ".join(unset) or "nothing"
    click.echo(f"Nothing was changed. Set these where {source} has them, remove {names}.", err=True)
