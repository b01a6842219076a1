"""What the protection costs: against bare Flask, and against protection that is put together by hand.

CPU time of a request without a server, then throughput and memory under the same gunicorn.
"""

import logging
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from measure import compare, finish, judged, request_seconds

PAGE_LIMIT, HEALTH_LIMIT, BY_HAND_LIMIT, MEMORY_LIMIT = 1.12, 1.20, 0.90, 1.10
REQUESTS, ROUNDS, SECONDS = 50, 201, 0.4
BY_HAND = ("flask-talisman==1.1.0", "flask-wtf==1.2.2", "python-json-logger==4.0.0")


def session_cookie(app: object) -> str:
    """A Cookie header with a session that `app` has signed."""
    serializer = app.session_interface.get_signing_serializer(app)
    return f"{app.config['SESSION_COOKIE_NAME']}={serializer.dumps({'visits': 7})}"


def in_process() -> bool:
    """CPU time of a request. This runs in the service's own environment."""
    import applications
    from pythonjsonlogger.json import JsonFormatter as LoggerFormatter
    from werkzeug.test import EnvironBuilder

    from flask_secure.logs import JsonFormatter

    logging.disable()
    ours, bare, by_hand = applications.ours(), applications.bare(), applications.by_hand()
    ours_logged = applications.logged(applications.ours(), JsonFormatter())
    stock = LoggerFormatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    by_hand_logged = applications.logged(applications.by_hand(), stock)

    def request(app: object, path: str, cookie: bool) -> partial[float]:
        headers = {"Cookie": session_cookie(app)} if cookie else {}
        environ = EnvironBuilder(path=path, headers=headers, base_url="https://localhost").get_environ()
        return partial(request_seconds, app, environ, REQUESTS)

    page, probe = (partial(request, path="/", cookie=True), partial(request, path="/healthz", cookie=False))
    return all([
        compare("page with a session, against bare Flask", page(ours), page(bare), PAGE_LIMIT, ROUNDS),
        compare("health check without a cookie, against bare Flask", probe(ours), probe(bare), HEALTH_LIMIT, ROUNDS),
        compare("page and log line, against by hand", page(ours_logged), page(by_hand_logged), BY_HAND_LIMIT, ROUNDS),
        compare("page alone, against by hand", page(ours), page(by_hand), None, ROUNDS),
        compare("page by hand, against bare Flask", page(by_hand), page(bare), None, ROUNDS),
    ])  # fmt: skip


def throughput(port: int, cookie: str, connections: int = 4) -> float:
    """Responses a second, over connections that are kept alive."""
    request = f"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode()
    counts = [0] * connections
    over = time.monotonic() + SECONDS

    def work(index: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while time.monotonic() < over:
                connection.sendall(request)
                head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
                if not head.startswith(b"HTTP/1.1 200"):
                    raise SystemExit(head.decode())
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                while len(body) < length:
                    body += connection.recv(65536)
                counts[index] += 1

    threads = [threading.Thread(target=work, args=(index,)) for index in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / SECONDS


SERVERS = ("ours", "by_hand", "bare")
# The same workers for all three. The bare one and the one by hand have gunicorn's own log.
STOCK = (
    "--config=/dev/null",
    "--worker-class=gthread",
    "--threads=128",
    "--keep-alive=5",
    "--preload",
    "--access-logfile=-",
    "--no-control-socket",
)


def under_gunicorn(project: Path, python: Path, env: dict[str, str]) -> bool:
    """Throughput of the page and memory of a worker: ours as gunicorn.conf.py says, against the other two."""
    from support import free_port, serve

    ports, cookies = {}, {}
    with ExitStack() as stack:
        for name in SERVERS:
            cookies[name] = signed_by(name, python, env)
            ports[name] = free_port()
            own = () if name == "ours" else STOCK
            command = [python.with_name("gunicorn"), f"--bind=127.0.0.1:{ports[name]}", "--workers=2", *own]
            stack.enter_context(serve([*command, f"applications:{name}()"], ports[name], project, env))
        rates: dict[str, list[float]] = {name: [] for name in SERVERS}
        for turn in range(41):  # short, and in turn, since other work on the machine comes and goes
            for name in SERVERS if turn % 2 else reversed(SERVERS):
                rates[name].append(throughput(ports[name], cookies[name]))
        memory = {name: worker_memory(ports[name]) for name in SERVERS}
    for other in ("by_hand", "bare"):
        ratio = statistics.median(a / b for a, b in zip(rates["ours"][1:], rates[other][1:], strict=True))
        both = f"{statistics.median(rates['ours']):.0f} against {statistics.median(rates[other]):.0f} requests a second"
        judged(f"throughput, two workers, against {other.replace('_', ' ')}", ratio, both, True, None)
    ratio = memory["ours"] / memory["bare"]
    figures = (
        f"{memory['ours']:.0f} MB against {memory['bare']:.0f} MB of a worker (PSS), by hand {memory['by_hand']:.0f}"
    )
    limit = f"at most {MEMORY_LIMIT:.2f}x"
    return judged("memory, against bare Flask", ratio, figures, ratio <= MEMORY_LIMIT, limit)


def signed_by(name: str, python: Path, env: dict[str, str]) -> str:
    """A Cookie header with a session that the application `name` has signed."""
    show = f"import applications, defences; print(defences.session_cookie(applications.{name}()))"
    shown = subprocess.run([python, "-c", show], env=env, capture_output=True, text=True, check=True)
    return shown.stdout.strip()


def worker_memory(port: int) -> float:
    """The proportional set size of a worker that listens on `port`, in MB, the mean of the workers."""
    processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    workers = []
    for path in processes:
        with suppress(OSError):
            if f"--bind=127.0.0.1:{port}".encode() in (path / "cmdline").read_bytes().split(b"\0"):
                workers.append(path)
    workers.sort(key=lambda path: int(path.name))
    sizes = []
    for path in workers[1:]:  # the first is the arbiter
        rollup = (path / "smaps_rollup").read_text()
        sizes.append(int(rollup.partition("Pss:")[2].split()[0]) / 1024)
    return statistics.mean(sizes)


if __name__ == "__main__":
    if sys.argv[1:] == ["in-process"]:
        finish(in_process())
    from support import bake, clean_environ, production, run

    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        project, python = bake(work), work / "venv" / "bin" / "python"
        run("uv", "venv", "--quiet", "--python", sys.executable, work / "venv", cwd=work)
        run("uv", "pip", "install", "--quiet", "--python", work / "venv", project, *BY_HAND, cwd=work)
        env = clean_environ(
            **production(TRUSTED_HOSTS="localhost,127.0.0.1"), PYTHONPATH=str(Path(__file__).resolve().parent)
        )
        done = subprocess.run([python, Path(__file__), "in-process"], cwd=work, env=env, check=False)
        finish(under_gunicorn(project, python, env), done.returncode == 0)
