"""`flask key`: the commands for the signing key. They work where the service refuses to start."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import click
from flask.cli import AppGroup

from .. import envfile, settings
from . import rotation, store
from .policy import bits, refusal
from .ring import SINCE, VARIABLES, KeyRing, fingerprint, mint
from .sources import CONFIG, ENV_FILE, command, find, load, refused

key = AppGroup("key", help="Make, look at and rotate the key that signs sessions.")

# For a project that has lost its .env.example.
PLAIN_ENV = b"APP_ENV=development\nSECRET_KEY=\n"


class Here(NamedTuple):
    """The keys of the environment that the command runs in."""

    env: str
    ring: KeyRing
    place: str
    lifetime: timedelta


def here() -> Here:
    """Load configuration and keys as `create_app` does, without the application."""
    app = settings.configured()
    ring, place = load(app.config)
    try:
        return Here(app.config["APP_ENV"], ring, place, app.permanent_session_lifetime)
    except (TypeError, OverflowError):
        raise settings.CommandError("PERMANENT_SESSION_LIFETIME is no number of seconds.") from None


@contextmanager
def alone() -> Iterator[None]:
    """No other `flask key` command changes the project's .env meanwhile."""
    if settings.ROOT is None or not os.access(settings.ROOT, os.W_OK):
        yield
        return
    path = settings.ROOT / ".env"
    try:
        with envfile.locked(path):
            yield
    except envfile.EnvFileError as error:
        raise unwritable(path, error) from None


def now() -> datetime:
    """This second, in UTC."""
    return datetime.now(UTC).replace(microsecond=0)


# Reading


@key.command("generate", with_appcontext=False)
def generate() -> None:
    """Print a new key and nothing else."""
    click.echo(mint())


@key.command("show", with_appcontext=False)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def show(as_json: bool) -> None:
    """Tell which keys are in use, by their fingerprints, and where they come from."""
    env, ring, place, lifetime = here()
    since = ring.since.isoformat() if ring.since else None
    due = rotation.retirement(ring, lifetime)
    roles = [("current", ring.current), *([("next", ring.next)] if ring.next else [])]
    roles += [("previous", each) for each in reversed(ring.previous)]
    keys = [
        {"role": role, "fingerprint": fingerprint(each), "length": len(each), "bits": bits(each)}
        for role, each in roles
    ]
    if as_json:
        report = {"environment": env, "source": place, "since": since, "keys": keys}
        click.echo(json.dumps(report | {"retire_after": due.isoformat() if due else None}, indent=2))
        return
    click.echo(f"environment  {env}\nfrom         {place}")
    if ring.since:
        click.echo(f"since        {ring.since:%Y-%m-%d %H:%M} UTC, {(now() - ring.since).days} days")
    for each in keys:
        click.echo(f"{each['role']:<12} {each['fingerprint']}  {each['length']} long, {each['bits']} bits at most")
    if due:
        click.echo(f"retire       after {due:%Y-%m-%d %H:%M} UTC")


# Making one


@key.command("init", with_appcontext=False)
def init() -> None:
    """Make the key of this machine, in .env, unless there is one."""
    settings.forget_dotenv()
    if settings.ROOT is None:
        raise settings.CommandError(
            "There is no project folder here, so no .env: this service is installed, not run from its source."
            ' Set SECRET_KEY instead: export SECRET_KEY="$(flask key generate)"'
        )
    path = settings.ROOT / ".env"
    values = settings.dotenv()
    if existing := values.get("SECRET_KEY"):
        if problem := refusal(existing):
            raise refused("SECRET_KEY", ENV_FILE, problem)
        click.echo(f"{path} has a key already (fingerprint {fingerprint(existing)}); it stays as it is.")
        return
    new = mint()
    wanted = {"SECRET_KEY": new} if "APP_ENV" in values else {"SECRET_KEY": new, "APP_ENV": "development"}
    example = settings.ROOT / ".env.example"
    try:
        if path.exists():
            envfile.replace(path, envfile.changed(path.read_bytes(), wanted), mode=0o600)
        else:
            data = example.read_bytes() if example.exists() else PLAIN_ENV
            envfile.create(path, envfile.changed(data, {"SECRET_KEY": new}))
    except (OSError, envfile.EnvFileError) as error:
        raise unwritable(path, error) from None
    click.echo(f"Wrote a new key to {path} (fingerprint {fingerprint(new)}).")


def unwritable(path: Path, error: Exception) -> settings.CommandError:
    """The line for an .env that could not be written; it is as it was."""
    why = error.strerror if isinstance(error, OSError) else error
    return settings.CommandError(f"{path} can't be written: {why}. It is as it was. See: ls -ld {path}")


# Rotating


@key.command("stage", with_appcontext=False)
def stage() -> None:
    """Add the next key, which only verifies until it is promoted."""
    step(lambda at: rotation.stage(at.ring, mint()), "staged", "Once every instance has it: {}", "promote")


@key.command("promote", with_appcontext=False)
def promote() -> None:
    """Let the staged key sign; the one before it verifies."""
    step(lambda at: rotation.promote(at.ring, now()), "promoted", "When its sessions have ended: {}", "retire")


@key.command("retire", with_appcontext=False)
@click.option("--force", is_flag=True, help="Do not wait for sessions that an older key signed.")
def retire(force: bool) -> None:
    """Drop the older keys, once no session that they signed can be valid."""
    step(lambda at: rotation.retire(at.ring, now(), at.lifetime, force=force), "retired")


@key.command("rotate", with_appcontext=False)
def rotate() -> None:
    """Sign with a new key at once. For a single instance: several need `stage` first."""
    step(lambda at: rotation.rotate(at.ring, mint(), now()), "rotated", "When its sessions have ended: {}", "retire")


@key.command("revoke", with_appcontext=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
def revoke(yes: bool) -> None:
    """Replace a key that has leaked, and keep nothing: everybody is logged out."""
    if not yes:
        click.confirm(
            "Every session ends: whoever is logged in is logged out, and so is whoever has the key. Go on?",
            abort=True,
            err=True,
        )
    new = rotation.revoke(mint(), now())
    with alone():
        # Not `here()`: a key that the policy refuses can be replaced too.
        found = find(settings.configured().config)
        if found is None:
            raise settings.CommandError(f"There is no key to revoke. Make one: {command('init')}")
        keep(new, found.place, "revoked", before=here().ring if found.place == store.PLACE else new)


def step(change: Callable[[Here], KeyRing], done: str, then: str = "", following: str = "") -> None:
    """Take one step of a rotation, on .env or, where the keys come from elsewhere, in words."""
    with alone():
        at = here()
        try:
            keep(change(at), at.place, done, before=at.ring)
        except rotation.RotationError as error:
            raise settings.CommandError(str(error).replace("flask key", settings.flask_command("key"))) from None
    if then:
        click.echo(then.format(command(following)), err=True)


def keep(ring: KeyRing, place: str, done: str, before: KeyRing) -> None:
    """Put `ring`, which followed from `before`, where the keys come from, or print the assignments that do."""
    if place == ENV_FILE:
        write(ring)
    elif place != store.PLACE or not store.save(before, ring):
        assignments(ring, place)
        return
    click.echo(f"{done}: {place} now signs with {fingerprint(ring.current)}; {len(ring.fallbacks())} more verify.")


def values_of(ring: KeyRing) -> dict[str, object]:
    """The variables that say `ring`; None for one that is not to be set."""
    since = ring.since.strftime("%Y-%m-%dT%H:%M:%SZ") if ring.since else None
    return dict(zip((*VARIABLES, SINCE), (ring.current, ring.next, list(ring.previous) or None, since), strict=True))


def as_text(ring: KeyRing) -> dict[str, str | None]:
    """The same for an environment or an .env file."""
    if any("," in str(each) for each in ring.previous):
        raise settings.CommandError(
            "The key has a comma, which in SECRET_KEY_FALLBACKS separates keys, so it can't be kept there."
            f" Everybody is logged out without it: {command('revoke')}"
        )
    values = {name: ",".join(value) if isinstance(value, list) else value for name, value in values_of(ring).items()}
    return {name: None if value is None else str(value) for name, value in values.items()}


def as_python(ring: KeyRing) -> dict[str, str | None]:
    """The same for a configuration file, where a key may be bytes."""

    def source(value: object) -> str:
        if isinstance(value, list):
            return f"[{', '.join(map(source, value))}]"
        return repr(bytes(value) if isinstance(value, bytes) else str(value))

    return {name: None if value is None else source(value) for name, value in values_of(ring).items()}


def write(ring: KeyRing) -> None:
    """Put `ring` into the project's .env, in one step."""
    path = Path(settings.ROOT or ".", ".env")
    try:
        envfile.replace(path, envfile.changed(path.read_bytes(), as_text(ring)))
    except (OSError, envfile.EnvFileError) as error:
        raise unwritable(path, error) from None


def assignments(ring: KeyRing, place: str) -> None:
    """Print the assignments that make `ring` the one in use, for a pipe; what to remove goes to standard error."""
    values, equals = (as_python(ring), " = ") if place == CONFIG else (as_text(ring), "=")
    for name, value in values.items():
        if value is not None:
            click.echo(f"{name}{equals}{value}")
    if gone := [name for name, value in values.items() if value is None]:
        click.echo(f"Remove where set: {' '.join(gone)}", err=True)
    click.echo(f"Nothing was changed: the keys here come from {place}. Set these there.", err=True)
