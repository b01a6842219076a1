"""Several gunicorn instances under load, whose sessions must survive the roll-out of a rotation."""

import http.client
import itertools
import random
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support import SLUG, clean_environ, free_port, serve

VISITS = re.compile(r"here <strong>(\d+) times")


def visit(connection: http.client.HTTPConnection, cookie: str) -> tuple[str, int]:
    """Ask for the page by `connection`, and close that: the cookie that it sets, and the visits that it counts."""
    try:
        connection.request("GET", "/", headers={"Cookie": cookie} if cookie else {})
        response = connection.getresponse()
        page = response.read().decode()
    finally:
        connection.close()
    if response.status != 200:
        raise http.client.HTTPException(str(response.status))
    found = VISITS.search(page)
    return (response.headers["Set-Cookie"] or "").partition(";")[0], int(found[1]) if found else 1


@dataclass
class Instance:
    """One gunicorn with the gunicorn.conf.py in `folder`."""

    program: Path
    folder: Path
    port: int = field(default_factory=free_port)
    busy: int = 0
    stack: ExitStack = field(default_factory=ExitStack)

    def start(self, env: dict[str, str]) -> None:
        command = [self.program, f"--bind=127.0.0.1:{self.port}", "--workers=1"]
        self.stack.enter_context(serve(command, self.port, self.folder, clean_environ(**env)))

    def stop(self) -> None:
        while self.busy:
            time.sleep(0.002)
        self.stack.close()


class Fleet:
    """Instances, and the load on them: every session is used again and again by one of several threads."""

    def __init__(self, programs: Path, folder: Path, env: dict[str, str], instances: int = 4) -> None:
        self.programs, self.folder, self.env = programs, folder, env
        self.serving = [Instance(programs / "gunicorn", folder) for _ in range(instances)]
        self.stack = ExitStack()
        self.lock = threading.Lock()
        self.lost = self.failed = self.requests = 0
        self.sessions: list[tuple[str, int]] = []

    @contextmanager
    def running(self) -> Iterator["Fleet"]:
        with self.stack, ThreadPoolExecutor(2) as pool:
            for instance in self.serving:
                self.stack.callback(instance.stack.close)
            list(pool.map(lambda instance: instance.start(self.env), self.serving))
            yield self

    def get(self, cookie: str) -> tuple[str, int]:
        """Ask one of the instances for the page: the cookie that it sets, and the visits that it counts."""
        with self.lock:
            instance = random.choice(self.serving)  # noqa: S311
            instance.busy += 1
            self.requests += 1
        try:
            return visit(http.client.HTTPConnection("127.0.0.1", instance.port, timeout=20), cookie)
        finally:
            with self.lock:
                instance.busy -= 1

    def use(self, session: tuple[str, int]) -> tuple[str, int]:
        """Use a session once more, and count it when it is lost or when the request fails."""
        cookie, visits = session
        try:
            cookie, now = self.get(cookie)
        except (OSError, http.client.HTTPException):
            with self.lock:
                self.failed += 1
            return session
        if now != visits + 1:
            with self.lock:
                self.lost += 1
        return cookie, now

    def open_sessions(self, count: int) -> None:
        self.sessions = [self.get("") for _ in range(count)]

    @contextmanager
    def load(self, threads: int = 3, pause: float = 0) -> Iterator[None]:
        """All sessions in use, over and over, with a pause of each thread between two requests."""
        over = threading.Event()

        def work(first: int) -> None:
            for index in itertools.cycle(range(first, len(self.sessions), threads)):
                if over.wait(pause):
                    return
                self.sessions[index] = self.use(self.sessions[index])

        workers = [threading.Thread(target=work, args=(first,)) for first in range(threads)]
        for worker in workers:
            worker.start()
        try:
            yield
        finally:
            over.set()
            for worker in workers:
                worker.join()

    def use_all(self) -> None:
        self.sessions = [self.use(session) for session in self.sessions]

    def roll_out(self, env: dict[str, str], mixed: int = 0) -> None:
        """Replace every instance by one with `env`, one after another, with `mixed` requests at least in between."""
        self.env = env
        replacements = [Instance(self.programs / "gunicorn", self.folder) for _ in self.serving]
        with ThreadPoolExecutor(2) as pool:
            started = []
            for replacement in replacements:
                self.stack.callback(replacement.stack.close)
                started.append(pool.submit(replacement.start, env))
            stopped = []
            for index, replacement in enumerate(replacements):
                started[index].result()
                with self.lock:
                    old, self.serving[index] = self.serving[index], replacement
                    enough = self.requests + mixed
                stopped.append(pool.submit(old.stop))
                while self.requests < enough and replacement is not replacements[-1]:
                    time.sleep(0.01)
            for stop in stopped:
                stop.result()

    def step(self, *command: str) -> dict[str, str]:
        """The variables after `flask key COMMAND`, which prints those to set. Raises RuntimeError when it refuses."""
        arguments = [str(self.programs / "flask"), "--app", SLUG, "key", *command]
        environ = clean_environ(**self.env)
        done = subprocess.run(arguments, cwd=self.folder, env=environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        kept = {name: value for name, value in self.env.items() if not name.startswith("SECRET_KEY")}
        return kept | dict(line.split("=", 1) for line in done.stdout.splitlines())
