"""`flask key`, `flask doctor` and `flask config`, which do not run the application, so that they always work."""

import json
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import click
from click import ClickException
from flask import Flask
from flask.cli import ScriptInfo

from . import doctor as examination
from . import keys, settings
from .files import change_dotenv, foreign_dotenv, key_files, read_dotenv, write_key_files
from .keys import ENV_FILE, SECRET_FILES, KeyRing, fingerprint, generate
from .problems import StartupError, command, project_root
from .strength import bits

Change = Callable[..., KeyRing]
env_option = click.option("--env", type=click.Choice(settings.ENVIRONMENTS), help="Another environment than this one.")
json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")


@click.group()
def main() -> None:
    """Keys, settings and their problems, also where the application does not start. FLASK_APP names it."""


def application() -> tuple[str, Path]:
    """The import name and the folder of the application that --app or FLASK_APP names; else the working folder."""
    info, root = click.get_current_context().find_object(ScriptInfo), project_root(Path.cwd())
    named = (info and info.app_import_path) or os.environ.get("FLASK_APP")
    if not named or (os.environ.get("FLASK_RUN_FROM_CLI") and foreign_dotenv(root)):  # whose FLASK_APP it may be
        named = read_dotenv(root / ".flaskenv").get("FLASK_APP", "app.py")
    name = re.split(r":(?![\\/])", named, maxsplit=1)[0]  # as Flask does
    if name.endswith(".py") or os.sep in name:
        return Path(name).stem, Path(name).resolve().parent
    sys.path.insert(0, os.getcwd())
    if (spec := find_spec(name.partition(".")[0])) is None or spec.origin is None:
        raise ClickException(f"There is no application {name!r} here. Name another: export FLASK_APP=NAME")
    return name, Path(spec.origin).parent


def configured(env: str | None = None) -> Flask:
    """An application with the settings of the one that is named, and nothing else. Raises StartupError."""
    name, folder = application()
    settings.load(app := Flask(name, root_path=str(folder)), env)
    return app


def lock(folder: Path) -> None:
    """Let one command at a time change the keys in `folder`; the others wait. Windows has no such lock."""
    with suppress(ImportError, OSError):
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
        click.get_current_context().call_on_close(partial(os.close, descriptor))
        fcntl.flock(descriptor, fcntl.LOCK_EX)


@main.group("key")
def key() -> None:
    """Make, show and rotate the keys that sign sessions."""


@key.command("generate")
def generate_() -> None:
    """Print a new key and nothing else."""
    click.echo(str(generate()))


@key.command()
def init() -> None:
    """Make the key of this machine, in .env, unless there is one."""
    lock(root := project_root(application()[1]))
    value, state = read_dotenv(root / ".env").get("SECRET_KEY"), "has a key already; it stays as it is"
    if not value:
        value, state = generate(), "has a new key"
        change_dotenv(root, {"SECRET_KEY": value})
        (root / ".env").chmod(0o600)
    click.echo(f"{root / '.env'} {state} (fingerprint {fingerprint(value)}).")


@key.command()
@json_option
def show(as_json: bool) -> None:
    """Show which keys are in use, by their fingerprints, and where they come from."""
    app = configured()
    ring = keys.load(app.config)
    roles = [("current", ring.current), ("next", ring.next), *(("previous", key) for key in reversed(ring.fallbacks))]
    rows = [{"role": r, "fingerprint": fingerprint(k), "length": len(k), "bits": bits(k)} for r, k in roles if k]
    due = ring.since + app.permanent_session_lifetime if ring.since and ring.fallbacks else None
    report = {"environment": app.config["APP_ENV"], "source": ring.source, "since": ring.since, "retire_after": due}
    lines = [f"{name.replace('_', ' '):<13} {value}" for name, value in report.items() if value]
    lines += [f"{row['role']:<13} {row['fingerprint']}  at most {row['bits']} bits" for row in rows]
    click.echo(json.dumps({**report, "keys": rows}, indent=2, default=str) if as_json else "\n".join(lines))


def step(name: str, following: str = "", option: str = "", help: str = "") -> Callable[[Change], Change]:
    """Make `flask key NAME` of a function from one key ring to the next: it changes the files, or prints variables."""

    def decorate(change: Change) -> Change:
        def run(printed: bool, **options: bool) -> None:
            root = project_root(application()[1])
            lock(folder := next(iter(key_files().values()), root / ".env").parent)
            app = configured()
            ring = keys.read(app.config) if name == "revoke" else keys.load(app.config)  # a bad key can be revoked
            ring = change(ring, app.permanent_session_lifetime, **options)
            values = keys.to_variables(ring)
            if printed or ring.source not in (ENV_FILE, SECRET_FILES):
                click.echo("\n".join(f"{name}={value}" for name, value in values.items() if value is not None))
                gone = ", ".join(name for name, value in values.items() if value is None) or "nothing"
                click.echo(f"Nothing was changed. Set these where {ring.source} has them, remove {gone}.", err=True)
            elif ring.source == SECRET_FILES and not os.access(folder, os.W_OK):
                message = f"{folder} can't be written: a service has copies of its keys. Run it on the originals:"
                raise ClickException(f"{message} CREDENTIALS_DIRECTORY=FOLDER {command(f'key {name}')}")
            else:
                change_dotenv(root, values) if ring.source == ENV_FILE else write_key_files(values)
                others = ", ".join(map(fingerprint, ring.verifying())) or "none"
                click.echo(f"{folder}: {fingerprint(ring.current)} signs, {others} verify. Restart the service.")
            click.echo(following.format(command("key")), err=True, nl=bool(following))

        as_text = click.Option(["--print", "printed"], is_flag=True, help="Print the variables; change no file.")
        options = [as_text, *([click.Option([option], is_flag=True, help=help)] if option else [])]
        key.add_command(click.Command(name, callback=run, params=[*options], help=change.__doc__))
        return change

    return decorate


@step("stage", "Once every instance has it: {} promote")
def staged(ring: KeyRing, _: timedelta) -> KeyRing:
    """Add the next key, which only verifies until it is promoted."""
    if ring.next is not None:
        raise ClickException(f"A key is staged already. Make it sign: {command('key promote')}")
    return ring._replace(next=generate())


@step("promote", "When its sessions have expired: {} retire")
def promoted(ring: KeyRing, _: timedelta) -> KeyRing:
    """Let the staged key sign; the one before it verifies."""
    if ring.next is None:
        raise ClickException(f"No key is staged. Let every instance have one first: {command('key stage')}")
    if ring.next == ring.current:  # an earlier promotion was stopped between two files
        return ring._replace(next=None)
    return KeyRing(ring.source, ring.next, None, (*ring.fallbacks, ring.current), datetime.now(UTC))


@step("retire", option="--force", help="Do not wait for the sessions of an older key.")
def retired(ring: KeyRing, lifetime: timedelta, force: bool = False) -> KeyRing:
    """Drop the older keys, once no session that they signed can be valid."""
    due = ring.since + lifetime if ring.since else None
    if not ring.fallbacks:
        raise ClickException("There is no older key to retire.")
    if not force and (due is None or datetime.now(UTC) < due):
        until = f"until {due:%Y-%m-%d %H:%M} UTC" if due else f"for {lifetime.days} days after the promotion"
        message = f"Sessions that an older key signed are valid {until}. If that is over, or to end them now:"
        raise ClickException(f"{message} {command('key retire --force')}")
    return ring._replace(fallbacks=())


@step("revoke", option="--yes", help="Do not ask.")
def revoked(ring: KeyRing, _: timedelta, yes: bool = False) -> KeyRing:
    """Replace a key that has leaked, and keep nothing: everyone is logged out."""
    if not yes:
        click.confirm("Every session becomes invalid, and everyone is logged out. Go on?", abort=True, err=True)
    return KeyRing(ring.source, generate(), since=datetime.now(UTC))


@main.command("doctor")
@env_option
@json_option
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
def doctor(env: str | None, as_json: bool, strict: bool) -> None:
    """Say what is wrong with the settings, and what fixes it; exit with 1 when something is."""
    try:
        config = configured(env).config
        env, problems = config["APP_ENV"], examination.examine(config)
    except StartupError as error:
        env, problems = env or os.environ.get("APP_ENV", "production"), list(error.problems)
    lines = [f"{env}: {len(problems) or 'no'} problem{'s' * (len(problems) != 1)}"]
    for id, message, fix, level in problems:
        colour = click.style(f"{level:<8}", fg="red" if level == "error" else "yellow")
        lines.append(f"\n{colour} {id}\n         {message}\n         {fix}")
    report = {"environment": env, "findings": [problem._asdict() for problem in problems]}
    click.echo(json.dumps(report, indent=2) if as_json else "\n".join(lines))
    sys.exit(any(strict or problem.level == "error" for problem in problems))


@main.command("config")
@env_option
def config(env: str | None) -> None:
    """Print every setting, with the layer that set it; secrets are redacted."""
    app = configured(env)
    origins = settings.origins(app.config)
    with suppress(StartupError):  # which `flask doctor` shows
        ring = keys.load(app.config)
        keys.init_app(app, ring)
        origins |= dict.fromkeys(("SECRET_KEY", "SECRET_KEY_FALLBACKS", "WTF_CSRF_SECRET_KEY"), ring.source)
    for name in sorted(app.config.keys() - {settings.SOURCES}):
        click.echo(f"{name:<32}  {origins.get(name, 'flask_secure'):<34}  {app.config[name]!r}")
