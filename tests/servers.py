"""Real servers on this machine, for one test or one module: PostgreSQL and Redis. Each can be stopped and started."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from support import clean_environ, free_port, need


class Server:
    """A program that listens on a port."""

    def __init__(self, port: int, command: list[str], prefix: list[str]) -> None:
        self.port, self.command = port, [*prefix, *command]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        null = subprocess.DEVNULL
        self.process = subprocess.Popen(self.command, env=clean_environ(), stdin=null, stdout=null, stderr=null)
        until(lambda: self.listens(), "it does not listen")

    def listens(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it at once: for PostgreSQL, SIGINT is a fast shutdown, which cuts connections off."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None


def until(condition: Callable[[], object], message: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, message
        time.sleep(0.05)


def own_program(name: str, package: str) -> str:
    """A program of PostgreSQL, which Debian keeps out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else need(name, package)


@contextmanager
def postgresql() -> Iterator[Server]:
    """PostgreSQL with an empty cluster, in which `postgres` needs no password. It does not run as root."""
    program, initdb = own_program("postgres", "postgresql"), own_program("initdb", "postgresql")
    folder = Path(mkdtemp(prefix="pg"))
    prefix = []
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        os.chown(folder, user.pw_uid, user.pw_gid)
        prefix = [need("setpriv", "util-linux"), f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    options = ["--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8"]
    subprocess.run([*prefix, initdb, f"--pgdata={folder}/data", *options], check=True, capture_output=True, cwd="/")
    port = free_port()
    listen = ["-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-c", "fsync=off", "-c", "max_connections=50"]
    server = Server(port, [program, "-D", f"{folder}/data", *listen], prefix)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


@contextmanager
def redis() -> Iterator[Server]:
    """Redis, with nothing on disk."""
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = Server(port, [need("redis-server", "redis-server"), *options], [])
    server.start()
    try:
        yield server
    finally:
        server.stop()
