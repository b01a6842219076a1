"""Production under a real gunicorn: what its answers say, whom it believes, what it logs, and a hostile client."""

import json
import re
import secrets
import shutil
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path

import pytest
from attacks import FORM, attacks, request
from support import SLUG, clean_environ, free_port, production, serve

FORGED = "eyJ2aXNpdHMiOjk5fQ.aSABCD.{}"


@dataclass
class Answer:
    """An answer as it came."""

    status: int
    headers: HTTPMessage
    text: str


@dataclass
class Server:
    """A gunicorn with the service in production, by the service's own configuration."""

    port: int
    log: Path
    key: str

    def get(self, path: str = "/", method: str = "GET", body: str = "", **headers: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body=body or None, headers=named)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read().decode())
        finally:
            connection.close()

    def raw(self, data: bytes, timeout: float = 10) -> bytes:
        """What is answered to `data`; nothing where the connection is closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            with suppress(OSError):
                connection.sendall(data)
            answer = b""
            with suppress(OSError):
                while part := connection.recv(65536):
                    answer += part
            return answer

    def lines(self) -> list[dict[str, object]]:
        """What it has logged: each line one JSON object."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.strip()]


@contextmanager
def gunicorn(installed: Path, folder: Path, *settings: str, **env: str) -> Iterator[Server]:
    """Serve tried.py from `folder`, with lines of one's own at the end of gunicorn.conf.py."""
    shutil.copy(Path(__file__).with_name("tried.py"), folder)
    conf = (installed / "gunicorn.conf.py").read_text()
    (folder / "gunicorn.conf.py").write_text("\n".join([conf, *settings]))
    environ = production(**env)
    port = free_port()
    command = [installed / "venv/bin/gunicorn", f"--bind=127.0.0.1:{port}", "tried:app"]
    with serve(command, port, folder, clean_environ(**environ)):
        yield Server(port, folder / f"server-{port}.log", environ["SECRET_KEY"])


@pytest.fixture(scope="module")
def server(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with gunicorn(installed, tmp_path_factory.mktemp("served")) as running:
        yield running


# What others ask of the headers


def policy_of(answer: Answer) -> dict[str, list[str]]:
    parts = answer.headers["Content-Security-Policy"].split("; ")
    return {part.split()[0]: part.split()[1:] for part in parts}


# The list of OWASP's Secure Headers Project: each header with its recommended value, or with why ours differs.
OWASP = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "(?i)deny",
    "Content-Security-Policy": "default-src '(none|self)'; .*frame-ancestors 'none'.*",
    "X-Permitted-Cross-Domain-Policies": "none",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": r".*camera=\(\).*",
    "Cache-Control": "no-store.*",  # of the page, which has a session
    "Referrer-Policy": "same-origin",  # not no-referrer: with that a form's Origin is "null"
}
ARGUED = {
    "Cross-Origin-Embedder-Policy": "it would break images of other origins, which the policy already names",
    "Clear-Site-Data": "it belongs to an answer that logs somebody out, which is a view's",
}
REMOVED = ["X-Powered-By", "X-AspNet-Version", "X-Runtime", "X-Version", "Via", "X-Generator"]


def test_owasp_secure_headers(server: Server) -> None:
    answer = server.get()
    for name, wanted in OWASP.items():
        assert re.fullmatch(wanted, answer.headers[name]), name
    for name in [*ARGUED, *REMOVED]:
        assert name not in answer.headers
    assert answer.headers["Server"] == "gunicorn"  # it can't be taken away, but it has no version


def test_mozilla_observatory_scores_a_plus(server: Server) -> None:
    """The rules of the HTTP Observatory, version 2: 100 points, from 90 on with what is better than asked."""
    answer = server.get()
    policy = policy_of(answer)
    scripts = policy.get("script-src", policy["default-src"])
    unsafe = {"'unsafe-inline'", "'unsafe-eval'", "data:", "http:", "https:", "*"}
    cookie = answer.headers["Set-Cookie"].lower().split("; ")
    hsts = int(answer.headers["Strict-Transport-Security"].split("max-age=")[1].split(";")[0])
    malus = {
        "csp": -20 if unsafe & {*scripts, *policy["style-src"], *policy["default-src"]} else 0,
        "cookies": 0 if {"secure", "httponly"} <= set(cookie) else -40,
        "cors": -50 if answer.headers.get("Access-Control-Allow-Origin") else 0,
        "hsts": 0 if hsts >= 15768000 else -10,
        "sri": -5 if re.search(r"<script[^>]+src=['\"]?(https?:)?//", answer.text) else 0,
        "nosniff": 0 if answer.headers["X-Content-Type-Options"] == "nosniff" else -5,
    }
    bonus = {
        "csp": 10 if policy["default-src"] == ["'none'"] else 5,
        "cookies": 5 if any(flag.startswith("samesite=") for flag in cookie) else 0,
        "referrer": 5 if answer.headers["Referrer-Policy"] in ("same-origin", "no-referrer") else 0,
        "frames": 5 if policy["frame-ancestors"] == ["'none'"] else 0,
        "corp": 10 if answer.headers["Cross-Origin-Resource-Policy"] == "same-origin" else 0,
    }
    assert set(malus.values()) == {0}
    assert 100 + sum(bonus.values()) == 135  # A+ begins at 100; its redirection to https is the proxy's


# Whom it believes

FORWARDED = {
    "Host": "localhost",
    "X_Forwarded_For": "203.0.113.7",
    "X_Forwarded_Proto": "https",
    "X_Forwarded_Host": "www.example.org",
    "X_Forwarded_Ssl": "on",
    "X_Request_ID": "named-by-the-proxy",
}


def test_forwarded_headers_of_nobody_are_believed(server: Server) -> None:
    """gunicorn itself believes those of 127.0.0.1, unless it is told not to."""
    answer = server.get("/seen", **FORWARDED)
    assert json.loads(answer.text) == {"link": "http://localhost/seen", "address": "127.0.0.1", "secure": False}
    assert answer.headers["X-Request-ID"] != "named-by-the-proxy"
    assert "Location" not in server.get("/", Host="localhost").headers  # nothing is redirected


def test_behind_a_proxy_that_ends_tls(installed: Path, tmp_path: Path) -> None:
    with gunicorn(installed, tmp_path, TRUSTED_PROXIES="1", TRUSTED_HOSTS="www.example.org") as behind:
        answer = behind.get("/seen", **FORWARDED)
        link = "https://www.example.org/seen"
        assert json.loads(answer.text) == {"link": link, "address": "203.0.113.7", "secure": True}
        assert answer.headers["X-Request-ID"] == "named-by-the-proxy"
        assert behind.get("/seen", **FORWARDED | {"X_Forwarded_Host": "evil.example"}).status == 400
        origin = {"Origin": "https://www.example.org"}
        assert behind.get("/act", "POST", "a=1", **FORWARDED, **origin).status == 200
        assert behind.get("/act", "POST", "a=1", **FORWARDED, Origin="https://evil.example").status == 403
        assert behind.get("/healthz", Host="10.0.0.3:8000").status == 200


# What it logs


def test_logs_are_json_lines_that_name_the_request_and_hold_no_secret(installed: Path, tmp_path: Path) -> None:
    with gunicorn(installed, tmp_path) as running:
        secret = secrets.token_urlsafe(20)
        private = {"Cookie": f"__Host-{SLUG}={secret}", "Authorization": f"Bearer {secret}"}
        name = running.get(f"/?token={secret}", Referer=f"http://localhost/?token={secret}", **private).headers[
            "X-Request-ID"
        ]
        refused = running.get(
            f"/act?q={secret}", "POST", f"password={secret}", Origin="https://evil.example", **private
        )
        running.get("/%0d%0aforged:%7b%7d", **private)
        running.raw(b"BAD REQUEST LINE\r\n\r\n")
        time.sleep(0.2)
        text, lines = running.log.read_text(), running.lines()
    assert secret not in text
    assert running.key not in text
    access = [line for line in lines if line["logger"] == "gunicorn.access" and line.get("request_id") == name]
    assert [(line["method"], line["path"], line["status"]) for line in access] == [("GET", "/", 200)]
    of_refusal = [line for line in lines if line.get("request_id") == refused.headers["X-Request-ID"]]
    loggers = [line["logger"] for line in of_refusal]
    assert loggers == [f"{SLUG}.keys.session", f"{SLUG}.web.csrf", "gunicorn.access"]
    assert "Origin is https://evil.example" in str(of_refusal[1]["message"])
    assert any(line["logger"] == "gunicorn.error" and "Listening" in str(line["message"]) for line in lines)
    assert any("session rejected" in str(line["message"]) for line in lines)


def test_a_stop_lets_requests_under_way_end(installed: Path, tmp_path: Path) -> None:
    with gunicorn(installed, tmp_path) as running:
        connection = socket.create_connection(("127.0.0.1", running.port), timeout=20)
        with connection:
            head = b"POST /act HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            connection.sendall(head + b"Content-Length: 3\r\n\r\na=")
            time.sleep(0.5)
            pid = next(
                re.findall(r"\((\d+)\)", str(line["message"]))
                for line in running.lines()
                if "Listening" in str(line["message"])
            )
            subprocess.run(["kill", "-TERM", pid[0]], check=True)
            time.sleep(0.5)
            connection.sendall(b"7")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


# A hostile client


@dataclass
class Visitor:
    """Somebody who uses the service normally all the while."""

    server: Server
    answers: list[tuple[int, float]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def visit(self) -> None:
        while not self.over.is_set():
            started = time.monotonic()
            try:
                status = self.server.get("/", Host="localhost").status
            except OSError:
                status = 0
            self.answers.append((status, time.monotonic() - started))
            time.sleep(0.05)


def memory(server: Server) -> int:
    """Bytes that the workers have of their own; 0 where the system does not tell (it is Linux that does)."""
    if not Path("/proc/self/smaps_rollup").exists():
        return 0
    booted = [str(line["message"]) for line in server.lines() if "Booting worker" in str(line["message"])]
    pids = [message.rsplit(" ", 1)[1] for message in booted]
    assert len(pids) == 2, "a worker has died"
    rolled = "".join(Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids)
    return sum(int(size) * 1024 for size in re.findall(r"^Private_(?:Clean|Dirty): +([0-9]+)", rolled, re.MULTILINE))


def slow_clients(server: Server, seconds: float) -> None:
    """Thirty that send a byte now and then, half of them within the headers and half within the body."""
    whole = request(b"/act", FORM, b"Content-Length: 100", method=b"POST", body=b"a")
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(30)]
    over = time.monotonic() + seconds
    for index, connection in enumerate(slow):
        connection.sendall(whole if index % 2 else whole[:30])
    while time.monotonic() < over:
        time.sleep(0.3)
        for connection in slow:
            with suppress(OSError):
                connection.sendall(b"x")
    for connection in slow:
        connection.settimeout(0.1)
        with connection, suppress(OSError):
            answer = connection.recv(65536)
            assert not answer or int(answer[9:12]) < 500, answer


def attack(server: Server) -> None:
    """Everything hostile, once: no answer is 500 or more, and none has what it should not."""
    answered = set()
    for kind, data in attacks():
        answer = server.raw(data)
        status = int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0
        assert status < 500, (kind, data[:200], answer[:300])
        assert not (kind == "static" and status == 200 and b"--paper" not in answer), "not the style sheet"
        assert not (kind == "host" and status == 200 and b"Host: evil" in data), data
        answered.add((kind, status))
    assert answered > {("body", 413), ("body", 400), ("host", 400), ("static", 404)}


def forge(server: Server, count: int) -> None:
    """Sessions that somebody else has signed."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    for _ in range(count):
        cookie = f"__Host-{SLUG}={FORGED.format(secrets.token_urlsafe(20))}"
        connection.request("GET", "/seen", headers={"Host": "localhost", "Cookie": cookie})
        answer = connection.getresponse()
        assert (answer.status, "99" in answer.read().decode()) == (200, False)
    connection.close()


def test_a_malformed_request_is_answered_and_logged(installed: Path, tmp_path: Path) -> None:
    """gunicorn refuses these itself, and its refusal goes through the service's logger."""
    malformed = [
        request(b"/a", b"Host: localhost", b"Host: evil.example"),
        request(b"/b", b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        request(b"/c", b"Content-Length: -3"),
        request(b"/d", b"X Y: z"),
    ]
    with gunicorn(installed, tmp_path) as running:
        for data in malformed:
            assert running.raw(data).startswith(b"HTTP/1.1 400"), data
        time.sleep(0.2)
        assert {line.get("status") for line in running.lines()} >= {400}


def test_clients_that_only_take_up_room(installed: Path, tmp_path: Path) -> None:
    """Connections that say nothing, and such that read nothing of their answers."""
    with gunicorn(installed, tmp_path, "threads = 8") as running:
        idle = [socket.create_connection(("127.0.0.1", running.port), timeout=5) for _ in range(200)]
        deaf = []
        for _ in range(20):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", running.port))
            connection.setblocking(False)
            with suppress(OSError):
                connection.sendall(b"GET /static/style.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)
            deaf.append(connection)
        started = time.monotonic()
        for _ in range(5):
            assert running.get("/", Host="localhost").status == 200
        assert time.monotonic() - started < 15
        for connection in [*idle, *deaf]:
            connection.close()
        assert running.get("/", Host="localhost").status == 200


def test_a_hostile_client(installed: Path, tmp_path: Path) -> None:
    used = []
    # So few threads that the slow clients take them all; and no memory that malloc keeps for each thread.
    with gunicorn(installed, tmp_path, "threads = 8", MALLOC_ARENA_MAX="1") as running:
        visitor = Visitor(running)
        visiting = threading.Thread(target=visitor.visit)
        visiting.start()
        try:
            for _ in range(3):
                slow = threading.Thread(target=slow_clients, args=(running, 4))
                slow.start()
                attack(running)
                forge(running, 1000)
                slow.join()
                used.append(memory(running))
        finally:
            visitor.over.set()
            visiting.join()
        assert len(visitor.answers) > 50
        assert {status for status, _ in visitor.answers} == {200}
        assert max(seconds for _, seconds in visitor.answers) < 8  # two seconds, and the attacks at the same time
        assert statistics.median(seconds for _, seconds in visitor.answers) < 0.5
        assert running.get("/", Host="localhost").status == 200
        assert [line for line in running.lines() if line["level"] in ("ERROR", "CRITICAL")] == []
    # The first round loads and caches; from then on it is flat.
    assert used[2] - used[1] < 8_000_000, used
