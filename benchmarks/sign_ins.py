"""The latency of another page while sixty sign-ins wait for their turn to hash, against alone.

Sixty clients sign in without a pause, one asks for the other page. PostgreSQL and Redis are real.
"""

import http.client
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from measure import finish, judged
from servers import postgresql, redis
from support import SLUG, bake, clean_environ, free_port, production, run, serve

SIGN_INS, PAGES, LIMIT = 60, 200, 3.0


def ask(address: str, method: str, path: str, body: str | None = None) -> int:
    """The status of a request, from an address of its own."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(address).netloc, timeout=30)
    network = ".".join(str(each) for each in secrets.token_bytes(3))
    headers = {"X-Forwarded-For": f"10.{network}", "X-Forwarded-Proto": "https"}
    if body:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    connection.request(method, path, body=body, headers=headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def latency(address: str) -> float:
    """The median of seconds that the other page takes."""
    times = []
    for _ in range(PAGES):
        began = time.perf_counter()
        assert ask(address, "GET", "/accounts/sign-in") == 200  # noqa: S101
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def sign_in_for_ever(address: str) -> None:
    """Sixty clients, each of which signs in again as soon as it has its response."""

    def sign_in() -> None:
        while True:
            email = f"ann.{secrets.token_hex(4)}@example.org"
            ask(address, "POST", "/accounts/sign-in", f"email={email}&password=wrong")

    for _ in range(SIGN_INS):
        threading.Thread(target=sign_in).start()


def latency_while_signing_in(address: str) -> float:
    """The same while sixty sign-ins are under way all the time, from a process of their own."""
    clients = subprocess.Popen([sys.executable, __file__, address])
    time.sleep(3)
    try:
        return latency(address)
    finally:
        clients.kill()
        clients.wait()


def measure() -> bool:
    """Print the ratio; whether it is within the limit."""
    with tempfile.TemporaryDirectory() as name, postgresql() as database, redis() as store:
        folder = Path(name)
        os.chmod(folder, 0o755)  # noqa: S103
        project = bake(folder, data="accounts")
        subprocess.run(["uv", "sync", "--quiet", "--all-extras", "--python", sys.executable], cwd=project, check=True)
        env = clean_environ(
            **production(
                DATABASE_URL=f"postgresql://postgres@127.0.0.1:{database.port}/postgres",
                RATELIMIT_STORAGE_URI=f"redis://127.0.0.1:{store.port}",
                MAIL_URL="smtp://localhost",
                TRUSTED_PROXIES="1",
            )
        )
        programs = project / ".venv" / "bin"
        run(programs / "flask", "--app", SLUG, "db", "upgrade", cwd=project, env=env)
        port = free_port()
        with serve([programs / "gunicorn", f"--bind=127.0.0.1:{port}"], port, project, env) as address:
            latency(address)  # the first requests open connections
            rounds = [(latency(address), latency_while_signing_in(address)) for _ in range(5)]
    alone, loaded = (statistics.median(each) for each in zip(*rounds, strict=True))
    ratio = statistics.median(second / first for first, second in rounds)
    figures = f"{loaded * 1000:.1f} ms against {alone * 1000:.1f} ms"
    return judged("a page while 60 sign-ins wait", ratio, figures, ratio <= LIMIT, f"at most {LIMIT:.2f}x")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sign_in_for_ever(sys.argv[1])
    else:
        finish(measure())
