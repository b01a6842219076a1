"""`flask doctor` and `flask config`, and the group of `flask key`.

They load the settings and not the application, so they work even if it does not start; the doctor
runs it in a process of its own, where settings are made in code.
"""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import click
from click import ClickException

from . import doctor as examination
from . import environment, layers, loaded, ring
from .application import application_path, configured, named_application
from .checks import files, keys, reasons
from .env_file import read_dotenv
from .git import GitError
from .key_commands import key
from .problems import StartupError, printable, project_root

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def existing(_: click.Context, option: click.Parameter, name: str | None) -> str | None:
    """`name`, if there is such an environment. Raises BadParameter, which lists them."""
    if name is None:
        return None
    names = environment.available(named_application()[1] / "config")
    if name not in names:
        raise click.BadParameter(f"{name!r} is not one of {', '.join(names)}.")
    return name


env_option = click.option(
    "--env", callback=existing, metavar="NAME", help="Another environment than this one."
)


@click.group()
def main() -> None:
    """Signing keys, settings and their problems, even if the application does not start.

    Set FLASK_APP to name the application.
    """


main.add_command(key)


@main.command("doctor")
@env_option
@json_option
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@click.option("--staged", is_flag=True, help="Look for secrets of .env in what is staged in git.")
@click.option("--explain", metavar="ID", help="Say why a problem matters.")
@click.option("--load", is_flag=True, help="Run the application, to see what its code sets.")
def doctor(
    env: str | None, as_json: bool, strict: bool, staged: bool, explain: str | None, load: bool
) -> None:
    """Say what is wrong with the settings and what fixes it; exit with 1 if something is."""
    if explain is not None:
        print_reason(explain)
    elif staged:
        check_staged()
    else:
        examined = examine(env, load)
        click.echo(to_json(examined) if as_json else as_text(examined))
        sys.exit(any(strict or problem.is_error for problem in examined.report.problems))


def print_reason(id: str) -> None:
    if id not in reasons.reasons():
        known = ", ".join(reasons.reasons())
        raise ClickException(f"There is no problem {id!r}. There are: {known}")
    click.echo(reasons.explain(id))


def check_staged() -> None:
    """Exit with 1 if a staged file, in any folder of the repository, holds a secret."""
    try:
        found = staged_files()
    except GitError as error:
        raise ClickException(f"git could not read what is staged: {error}") from None
    for path in found:
        click.echo(
            f"{printable(path)} holds a secret of .env: take it out, and stage it again", err=True
        )
    sys.exit(bool(found))


def staged_files() -> list[str]:
    """The staged files that hold a secret of this folder's project, or of the application's."""
    root = project_root(Path.cwd())
    keys: list[bytes] = []
    with suppress(ClickException, StartupError):  # wrong settings do not let a secret past
        record = configured()[1]
        keys = files.keys_of(record)
        if not (root / ".env").exists():
            root = record.root
    return files.staged(root, read_dotenv(root / ".env"), keys)


class Examined(NamedTuple):
    """What the doctor has found, and what it has not seen."""

    environment: str
    report: examination.Report
    not_seen: str = ""
    off: Sequence[str] = ()


def examine(env: str | None, load: bool) -> Examined:
    """What is wrong in the environment, even if the settings or the application can't be loaded."""
    try:
        record = configured(env)[1]
    except StartupError as error:
        name = env or os.environ.get("APP_ENV") or environment.PRODUCTION.name
        return Examined(name, examination.Report(list(error.problems), []))
    name = record.environment.name
    is_another = env is not None and env != current_environment()
    if load and is_another:
        raise click.UsageError("--load examines this environment, not that of --env.")
    if is_another or (layers.has_own_files(record.config_folder) and not load):
        return Examined(name, examination.examine(record), "settings made in code (--load)")
    try:
        seen = loaded.examine(application_path(), record)
    except StartupError as error:
        report = examination.examine(record)
        problems = examination.by_level([*error.problems, *report.problems])
        report = examination.Report(problems, report.silenced)
        return Examined(name, report, "settings made in code")
    problems = [*seen.report.problems, *examination.problems_of_files(record)]
    report = examination.Report(examination.by_level(problems), seen.report.silenced)
    return Examined(name, report, seen.remark, seen.off)


def current_environment() -> str:
    """The name of this environment; "" if its settings can't be loaded."""
    try:
        return configured()[1].environment.name
    except StartupError:
        return ""


def as_text(examined: Examined) -> str:
    """The report as lines for a terminal. The first says what was not seen."""
    report = examined.report
    count = len(report.problems)
    first = f"{examined.environment}: {count or 'no'} problem{'' if count == 1 else 's'}"
    if examined.not_seen:
        first += f"; not seen: {examined.not_seen}"
    if examined.off:
        first += f"; off: {', '.join(examined.off)}"
    lines = [first]
    for problem in report.problems:
        color = "red" if problem.is_error else "yellow"
        level = click.style(f"{problem.level:<8}", fg=color)
        lines.append(f"\n{level} {problem.id}\n         {problem.message}\n         {problem.fix}")
    if report.silenced:
        lines.append(f"\n{len(report.silenced)} silenced by SILENCED_CHECKS:")
    for problem, reason in report.silenced:
        lines.append(f"         {problem.id}: {reason}\n         ({problem.message})")
    return "\n".join(lines)


def to_json(examined: Examined) -> str:
    """The report as JSON: `findings` and `silenced` are lists of problems."""
    silenced = []
    for problem, reason in examined.report.silenced:
        silenced.append({**problem._asdict(), "reason": reason})
    parts: dict[str, Any] = {"environment": examined.environment}
    parts["not_seen"] = examined.not_seen
    parts["off"] = list(examined.off)
    parts["findings"] = [problem._asdict() for problem in examined.report.problems]
    parts["silenced"] = silenced
    return json.dumps(parts, indent=2)


@main.command("config")
@env_option
def config(env: str | None) -> None:
    """Print every setting with the layer that set it; secrets are redacted."""
    app, record = configured(env)
    origins = dict(record.origins)
    with suppress(StartupError):  # which `flask doctor` shows
        found = keys.load(record)
        ring.install(app, found)
        for name in ("SECRET_KEY", "SECRET_KEY_FALLBACKS", "WTF_CSRF_SECRET_KEY"):
            origins[name] = found.source.name
    for name in sorted(app.config):
        origin = origins.get(name, "flask_secure")
        click.echo(f"{name:<32}  {origin:<34}  {app.config[name]!r}")
