"""`flask key`: the commands for the signing key. They work where the service refuses to start."""

import click
from flask import Flask
from flask.cli import AppGroup

from .. import envfile, settings
from .policy import bits, refusal
from .ring import fingerprint, mint
from .sources import load, refused

key = AppGroup("key", help="Make and look at the key that signs sessions.")

# For a project that has lost its .env.example.
PLAIN_ENV = "APP_ENV=development\nSECRET_KEY=\n"


@key.command("generate", with_appcontext=False)
def generate() -> None:
    """Print a new key and nothing else."""
    click.echo(str(mint()))


@key.command("init", with_appcontext=False)
def init() -> None:
    """Make the key of this machine, in .env, unless there is one."""
    settings.forget_flask_dotenv()
    if settings.ROOT is None:
        raise settings.StartupError(
            "There is no project folder here, so no .env: this service is installed, not run from its source."
            ' Set SECRET_KEY instead: export SECRET_KEY="$(flask key generate)"'
        )
    path = settings.ROOT / ".env"
    if existing := settings.dotenv().get("SECRET_KEY"):
        if problem := refusal(existing):
            raise refused("SECRET_KEY", ".env", problem)
        click.echo(f"{path} has a key already (fingerprint {fingerprint(existing)}); it stays as it is.")
        return
    new = mint()
    example = settings.ROOT / ".env.example"
    try:
        if path.exists():
            text = path.read_bytes().decode("utf-8")
            envfile.replace(path, envfile.with_value(text, "SECRET_KEY", new))
        else:
            text = example.read_text("utf-8") if example.exists() else PLAIN_ENV
            envfile.create(path, envfile.with_value(text, "SECRET_KEY", new))
    except OSError as error:
        raise settings.StartupError(f"{path} can't be written: {error.strerror}.") from None
    click.echo(f"Wrote a new key to {path} (fingerprint {fingerprint(new)}).")


@key.command("show", with_appcontext=False)
def show() -> None:
    """Tell which key signs here, by its fingerprint, and where it comes from."""
    env = settings.choose_environment()
    app = Flask(__package__.partition(".")[0], instance_path=settings.INSTANCE)
    settings.load(app, env)
    ring, place = load(app.config)
    click.echo(f"environment  {env}\nfrom         {place}")
    roles = [("signs", ring.current)] + [("verifies", key) for key in ring.fallbacks()]
    for role, each in roles:
        click.echo(f"{role:<12} {fingerprint(each)}  {len(each)} characters, {bits(each)} bits at most")
