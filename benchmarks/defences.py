"""What the defences cost a page and a health check, against bare Flask doing the same: CPU time and throughput."""

import logging
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from measure import finish, request_seconds
from support import SLUG, bake, clean_environ, free_port, production, run, serve
from werkzeug.test import EnvironBuilder

REQUESTS, ROUNDS = 300, 41
BARE = """
from flask import Flask, render_template, session
from {slug} import create_app

ours = create_app()


def page():
    return render_template("error.html", title="A page", detail=session.get("n"))


def bare():
    app = Flask("{slug}")
    app.config.update(ours.config)
    app.config.update(TRUSTED_HOSTS=None)
    app.add_url_rule("/", view_func=lambda: "", endpoint="pages.index")
    app.add_url_rule("/healthz", view_func=lambda: {{"status": "ok"}}, endpoint="health")
    return app


def add_page(app):
    app.add_url_rule("/page", view_func=page, endpoint="page")
    return app


defended, undefended = add_page(ours), add_page(bare())
"""


def medians(apps: dict[str, Flask], environ: dict[str, object]) -> tuple[dict[str, float], dict[str, float]]:
    """For each application the microseconds of a request, and the ratio to the one called "bare", run in turn."""
    rounds = [
        {name: request_seconds(app, environ, REQUESTS) * 1e6 for name, app in apps.items()} for _ in range(ROUNDS)
    ]
    times = {name: statistics.median(each[name] for each in rounds) for name in apps}
    ratios = {name: statistics.median(each[name] / each["bare"] for each in rounds) for name in apps}
    return times, ratios


def cookie(app: Flask) -> str:
    """A session that `app` has signed, as a Cookie header."""
    serializer = app.session_interface.get_signing_serializer(app)
    return f"{app.config['SESSION_COOKIE_NAME']}={serializer.dumps({'n': 7})}"


# How each defence is taken away from the service.
DEFENCES: dict[str, Callable[[Flask], object]] = {
    "host and cross-site checks": lambda app: app.before_request_funcs.clear(),
    "headers, request id, health checks on any host": lambda app: setattr(app, "wsgi_app", Flask.wsgi_app.__get__(app)),
    "trusted hosts in routing": lambda app: app.config.update(TRUSTED_HOSTS=None),
    "sessions that are signed anew (saves)": lambda app: setattr(
        app, "session_interface", SecureCookieSessionInterface()
    ),
}


def in_process(project: Path) -> list[bool]:
    """CPU time of a request, without a server."""
    os.environ.update(production(TRUSTED_HOSTS="localhost"))
    sys.path.insert(0, str(project / "src"))
    (project / "bench.py").write_text(BARE.format(slug=SLUG))
    sys.path.insert(0, str(project))
    import bench

    logging.disable()
    good = []
    for name, path, headers, limit in (
        ("page with a session", "/page", {"Cookie": cookie(bench.defended)}, 1.15),
        ("page without one", "/page", {}, None),
        ("health check", "/healthz", {}, 1.05),
    ):
        environ = EnvironBuilder(path=path, headers=headers, base_url="https://localhost").get_environ()
        times, ratios = medians({"ours": bench.defended, "bare": bench.undefended}, environ)
        verdict = (
            "no limit" if limit is None else f"at most {limit}x, {'ok' if ratios['ours'] <= limit else 'TOO SLOW'}"
        )
        us = f"{times['ours']:.0f} us against {times['bare']:.0f} us of CPU time"
        print(f"{name}: {ratios['ours']:.3f}x ({verdict}); {us}")
        good.append(limit is None or ratios["ours"] <= limit)

    def make() -> Flask:
        return bench.add_page(bench.create_app())

    environ = EnvironBuilder(path="/page", headers={"Cookie": cookie(bench.defended)}, base_url="https://localhost")
    apps = {defence: make() for defence in DEFENCES}
    for defence, take_away in DEFENCES.items():
        take_away(apps[defence])
    times, _ = medians({"bare": bench.undefended, "all": make(), **apps}, environ.get_environ())
    for defence in DEFENCES:
        print(f"  {times['all'] - times[defence]:5.1f} us  {defence}")
    return good


def throughput(port: int, path: str, headers: str, seconds: float, connections: int = 4) -> float:
    """Requests answered in a second, over connections that are kept alive."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()
    counts = [0] * connections
    over = time.monotonic() + seconds

    def work(index: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while time.monotonic() < over:
                connection.sendall(request)
                answer = connection.recv(65536)
                head, _, body = answer.partition(b"\r\n\r\n")
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
    return sum(counts) / seconds


@contextmanager
def gunicorn(project: Path, application: str, env: dict[str, str], *options: str) -> Iterator[int]:
    port = free_port()
    program = project / ".venv" / "bin" / "gunicorn"
    with serve(
        [program, f"--bind=127.0.0.1:{port}", "--workers=2", *options, f"bench:{application}"], port, project, env
    ):
        yield port


def under_gunicorn(project: Path) -> list[bool]:
    """Throughput with two workers: ours as gunicorn.conf.py says, the bare one with and without a log of requests."""
    env = clean_environ(**production(TRUSTED_HOSTS="localhost"))
    import bench

    signed = subprocess.run(
        [project / ".venv/bin/python", "-c", "import bench; print(bench.undefended.session_interface"
         ".get_signing_serializer(bench.undefended).dumps({'n': 7}))"],
        cwd=project, env=env, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    headers = f"Cookie: {bench.defended.config['SESSION_COOKIE_NAME']}={signed}\r\n"
    plain = ("--config=/dev/null", "--worker-class=gthread", "--threads=32", "--no-control-socket")
    logging_too = (*plain, "--access-logfile=-")
    with ExitStack() as stack:
        ports = [
            stack.enter_context(gunicorn(project, application, env, *options))
            for application, options in (("defended", ()), ("undefended", logging_too), ("undefended", plain))
        ]
        rounds = [[throughput(port, "/page", headers, 2) for port in ports] for _ in range(11)][1:]
    ratio, without_log = (statistics.median(each[0] / each[base] for each in rounds) for base in (1, 2))
    rates = ", ".join(f"{statistics.median(each):.0f}" for each in zip(*rounds, strict=True))
    verdict = "ok" if ratio >= 0.9 else "TOO SLOW"
    print(
        f"throughput, two workers, both log requests: {ratio:.3f}x (at least 0.9x, {verdict})"
        f"\n  against a bare one that logs none: {without_log:.3f}x; requests a second: {rates}"
    )
    return [ratio >= 0.9]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        project = bake(Path(name))
        run("uv", "sync", "--quiet", "--no-dev", "--python", sys.executable, cwd=project)
        good = in_process(project)
        finish(*good, *under_gunicorn(project))
