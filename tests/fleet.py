"""Several gunicorn instances behind a round-robin client, whose sessions must outlive a rolled-out rotation."""

import http.client
import itertools
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support import SLUG, clean_environ, free_port, serve

VISITS = re.compile(r"here <strong>(\d+) times")
FIRST = "first visit"


@dataclass
class Instance:
    """One gunicorn by the gunicorn.conf.py in `folder`: it is drained, stopped and started with other variables."""

    program: Path
    folder: Path
    port: int = field(default_factory=free_port)
    busy: int = 0
    stack: ExitStack = field(default_factory=ExitStack)

    def start(self, env: dict[str, str]) -> None:
        command = [self.program, f"--bind=127.0.0.1:{self.port}", "--workers=1"]
        self.stack.enter_context(serve(command, self.port, self.folder, clean_environ(**env)))


class Fleet:
    """Instances, and the load on them: every session is used again and again by one of several threads."""

    def __init__(self, programs: Path, folder: Path, env: dict[str, str], instances: int = 4) -> None:
        self.flask_program, self.folder, self.env = programs / "flask", folder, env
        self.instances = [Instance(programs / "gunicorn", folder) for _ in range(instances)]
        self.serving = list(self.instances)
        self.turn = itertools.count()
        self.lock = threading.Lock()
        self.lost = self.failed = self.requests = 0
        self.sessions: list[tuple[str, int]] = []

    @contextmanager
    def running(self) -> Iterator["Fleet"]:
        with ExitStack() as stack:
            for instance in self.instances:
                stack.callback(instance.stack.close)
                instance.start(self.env)
            yield self

    def get(self, cookie: str) -> tuple[str, int]:
        """Ask the next instance for the page; give back the cookie that it sets and the visits that it counts."""
        with self.lock:
            instance = self.serving[next(self.turn) % len(self.serving)]
            instance.busy += 1
            self.requests += 1
        try:
            connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=20)
            try:
                connection.request("GET", "/", headers={"Cookie": cookie} if cookie else {})
                answer = connection.getresponse()
                page = answer.read().decode()
            finally:
                connection.close()
        finally:
            with self.lock:
                instance.busy -= 1
        if answer.status != 200:
            raise http.client.HTTPException(str(answer.status))
        found = VISITS.search(page)
        return (answer.headers["Set-Cookie"] or "").partition(";")[0], int(found[1]) if found else 1

    def use(self, session: tuple[str, int]) -> tuple[str, int]:
        """Use a session once more, and count it when it was lost or when the request failed."""
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
    def load(self, threads: int = 3) -> Iterator[None]:
        """All sessions in use, over and over; each is used at least once before this ends."""
        over = threading.Event()

        def work(first: int) -> None:
            while True:
                for index in range(first, len(self.sessions), threads):
                    self.sessions[index] = self.use(self.sessions[index])
                    if over.is_set():
                        break
                if over.is_set():
                    return

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

    def roll_out(self, env: dict[str, str]) -> None:
        """Give every instance `env`, one after another, each while the others serve."""
        self.env = env
        for instance in self.instances:
            with self.lock:
                self.serving.remove(instance)
            while instance.busy:
                time.sleep(0.002)
            instance.stack.close()
            instance.start(env)
            with self.lock:
                self.serving.append(instance)

    def step(self, *command: str) -> dict[str, str]:
        """The environment after `flask key COMMAND`, which prints the assignments to make."""
        arguments = [str(self.flask_program), "--app", SLUG, "key", *command]
        done = subprocess.run(
            arguments, cwd=self.folder, env=clean_environ(**self.env), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        kept = {name: value for name, value in self.env.items() if not name.startswith("SECRET_KEY")}
        return kept | dict(line.split("=", 1) for line in done.stdout.splitlines())


def wait_for(step: Callable[[], dict[str, str]], seconds: float) -> dict[str, str]:
    """The result of `step`, which refuses until its time has come."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return step()
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
