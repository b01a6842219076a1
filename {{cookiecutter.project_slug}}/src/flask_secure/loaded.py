"""The settings of an application that has run: in a process of its own, for `flask doctor`.

The child gets 20 seconds and no standard input, and gives back what it has found as JSON.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import click
from click import ClickException
from flask import Flask
from flask.cli import ScriptInfo

from . import choosing, doctor, observing, parts
from .adoption import INSTALLED, WAYS
from .checks.silenced import Silenced
from .doctor import Report
from .environment import BUILT_IN, PRODUCTION
from .layers import APPLICATION
from .loading import Record
from .problems import Problem, StartupError

SECONDS = 20
KEYS = ("SECRET_KEY", "SECRET_KEY_FALLBACKS")


class Seen(NamedTuple):
    """What the child has found: the report of the settings, the parts that are off, a remark."""

    report: Report
    off: list[str]
    remark: str


def examine(application: str, record: Record) -> Seen:
    """What is wrong with the settings that `application` has once it has run.

    Raises StartupError with one problem if it does not load, hangs or exits.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder, "report.json")
        code = f"from {__name__} import main; main()"
        command = [sys.executable, "-c", code, application, str(path)]
        child = subprocess.Popen(  # noqa: S603
            command,
            env=environ(record),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            status = child.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise failed(f"was not there after {SECONDS} seconds") from None
        finally:
            stop(child)
        if not path.exists():
            raise failed(f"has ended the process with {status}")
        return read(json.loads(path.read_text("utf-8")))


def stop(child: subprocess.Popen[bytes]) -> None:
    """Stop the child, and what it may have started."""
    if os.name == "posix":
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.wait()


def environ(record: Record) -> dict[str, str]:
    """The variables of the child: it is in the environment that this process has found."""
    library = str(Path(__file__).resolve().parents[1])
    paths = [path for path in (os.environ.get("PYTHONPATH"), os.getcwd(), library) if path]
    variables = {**record.variables, "PYTHONPATH": os.pathsep.join(paths)}
    if record.said_by:
        variables["APP_ENV"] = record.environment.name
    if not choosing.is_flask_command():
        variables["FLASK_SKIP_DOTENV"] = "1"  # no file was read into these variables
    variables["FLASK_RUN_FROM_CLI"] = "true"  # app.run() in a module does nothing then
    return variables


def failed(reason: str) -> StartupError:
    message = f"The application {reason}, so settings made in its code were not seen"
    return StartupError(Problem("load-failed", message, "Run it: flask routes"))


def read(found: dict[str, Any]) -> Seen:
    """What the child has written. Raises StartupError if the application did not load."""
    if "failed" in found:
        raise failed(found["failed"])
    problems = [Problem(*each) for each in found["problems"]]
    silenced = [Silenced(Problem(*each), reason) for each, reason in found["silenced"]]
    return Seen(Report(problems, silenced), found["off"], found["remark"])


# The child


@click.command()
@click.argument("application")
@click.argument("path")
def main(application: str, path: str) -> None:
    """Load `application`, and write what is wrong with its settings to the file at `path`."""
    try:
        found = found_in(ScriptInfo(application, set_debug_flag=False).load_app())
    except StartupError as error:
        found = {"problems": error.problems, "silenced": [], "off": [], "remark": ""}
    except ClickException as error:
        found = {"failed": f"does not load ({error.format_message().splitlines()[0]})"}
    except (Exception, SystemExit) as error:  # of the application's code; its text may hold a key
        found = {"failed": f"does not load ({type(error).__name__})"}
    draft = Path(f"{path}.draft")
    draft.write_text(json.dumps(found), "utf-8")
    draft.replace(path)
    os._exit(0)  # whatever threads the application has started


def found_in(app: Flask) -> dict[str, Any]:
    """What is wrong with the settings of `app`, which has run."""
    problems: list[Problem] = []
    remark = ""
    if app.extensions.get(WAYS) == "init_app":
        record = as_it_is_now(app)
        problems = list(keys_set_later(app))
    else:
        name = os.environ.get("APP_ENV", "")
        record = observing.examined(app, name if name in BUILT_IN else PRODUCTION.name)
        remark = "the application does not call init_app, and was examined as if it did"
    report = doctor.examine_settings(record)
    return {
        "problems": [*problems, *report.problems],
        "silenced": report.silenced,
        "off": parts.off(record.parts),
        "remark": remark,
    }


def as_it_is_now(app: Flask) -> Record:
    """The record of `app` with what its code has set after `init_app`."""
    record: Record = app.extensions["flask_secure"]
    installed = app.extensions[INSTALLED]
    for name, value in app.config.items():
        if name not in KEYS and installed.get(name, app) is not value:
            record.config[name] = value
            record.origins[name] = APPLICATION
    return replace(record, loaded_app=app)


def keys_set_later(app: Flask) -> Iterator[Problem]:
    installed = app.extensions[INSTALLED]
    for name in KEYS:
        if app.config.get(name) != installed.get(name):
            message = f"{name} is set after init_app, so every request is answered 500"
            yield Problem("key-late", message, f"Remove {name} from the code after init_app.")
