"""Plays systemctl below the folder $PREFIX: starts what a unit's file says, with copies of its credentials.

Of a unit it reads what is needed to run it. The user and the sandbox that the unit asks for are systemd's alone.
"""

import fnmatch
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PREFIX = Path(os.environ["PREFIX"])
RUN, UNITS = PREFIX / "run", PREFIX / "etc" / "systemd" / "system"


def settings(unit: str) -> dict[str, list[str]]:
    """The settings of a unit such as `name@8001.service`, each with its values."""
    prefix, _, instance = unit.removesuffix(".service").partition("@")
    found: dict[str, list[str]] = {}
    for line in (UNITS / f"{prefix}@.service").read_text().replace("%i", instance).splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def credentials(unit: str, loaded: list[str], default: list[str]) -> Path:
    """The folder with the unit's credentials: LoadCredential, or SetCredential where there is no such file."""
    folder = RUN / "credentials" / unit
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    texts = dict(each.split(":", 1) for each in default)
    for name, _, source in (each.partition(":") for each in loaded):
        if name not in texts or os.path.exists(source):
            shutil.copyfile(source, folder / name)
        else:
            (folder / name).write_text(texts[name].encode().decode("unicode_escape"))
        (folder / name).chmod(0o400)
    folder.chmod(0o500)
    return folder


def start(unit: str) -> None:
    """Start the unit, and return when it has said that it is ready."""
    given = settings(unit)
    lines = [line for path in given["EnvironmentFile"] for line in Path(path).read_text().splitlines()]
    folder = credentials(unit, given["LoadCredential"], given["SetCredential"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, (PREFIX / f"{unit}.log").open("ab") as log:
        ready.bind(f"\0{unit}-{os.getpid()}")  # no path, whose length has a limit
        ready.settimeout(0.1)
        env = {"PATH": os.defpath, "NOTIFY_SOCKET": f"@{unit}-{os.getpid()}", "CREDENTIALS_DIRECTORY": str(folder)}
        env |= dict(line.split("=", 1) for line in lines)
        process = subprocess.Popen(
            given["ExecStart"][0].split(),
            cwd=given["WorkingDirectory"][0],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        (RUN / f"{unit}.pid").write_text(str(process.pid))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(TimeoutError):
                if ready.recv(1000).startswith(b"READY=1"):
                    return
    (RUN / f"{unit}.pid").write_text("")  # the number may be another process's soon
    sys.exit(f"Job for {unit} failed: see {log.name}")


def stop(unit: str) -> None:
    """Send SIGTERM to the unit's main process, and return when that has ended."""
    path = RUN / f"{unit}.pid"
    if path.exists() and (pid := path.read_text()):
        process = Path("/proc", pid)
        with suppress(ProcessLookupError):
            os.kill(int(process.name), signal.SIGTERM)
        with suppress(FileNotFoundError, ProcessLookupError):  # Z: it has ended, and nobody has asked how
            while process.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.01)
    path.unlink(missing_ok=True)


def main(command: str, *arguments: str) -> None:
    units = [name if name.endswith(".service") else f"{name}.service" for name in arguments if name[:2] != "--"]
    match command:
        case "daemon-reload":
            pass
        case "reload" if units == ["nginx.service"]:
            subprocess.run(["nginx", "-s", "reload"], check=True)
        case "list-units":
            known = sorted(path.stem for path in RUN.glob("*@*.pid"))
            print(*(f"{unit} loaded active running" for unit in fnmatch.filter(known, arguments[-1])), sep="\n")
        case "enable" | "restart" | "stop":
            for unit in units:
                stop(unit)
                if command != "stop":
                    start(unit)
        case _:
            sys.exit(f"systemctl {command} is not played")


if __name__ == "__main__":
    main(*sys.argv[1:])
