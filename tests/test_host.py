"""Production on one machine, as docs/one-machine.md says: its commands, with a real nginx before real instances.

A folder replaces / and systemctl.py replaces systemctl: nothing here runs systemd, which only checks the unit's file.
"""

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from fleet import Fleet, visit
from support import SLUG, Project, bake, clean_environ, commit_all, fetch, free_port, need, run

pytestmark = pytest.mark.xdist_group("host")  # one worker has its machine

NAME = "www.example.org"
INSTANCES = 3
LIFETIME = 6  # seconds, in the place of 31 days
SESSIONS = 60
FIRST = "first visit"  # on the page
THREADS = 8  # of an instance: far fewer than there are slow clients

# Lines of the page that are not run, and why.
NOT_RUN = {
    "apt-get ": "changes the machine; .ci/run installs the same packages",
    "python3 -m venv /opt/uv ": "the uv of this machine is there instead",
    "certbot ": "needs a name that the world can reach; the certificate is self-signed",
    "scp ": "both machines are this one",
}

# What an owner could have added: it says what arrived.
OWN_VIEW = """

@bp.route("/seen", methods=["GET", "POST"])
def seen() -> dict[str, object]:
    from flask import request
    from flask_secure import request_id

    known = [request.remote_addr, request.scheme, request.host, request.root_path, request_id()]
    return {"known": known, "headers": list(request.headers), "bytes": len(request.get_data())}
"""

NGINX = """
{user}
worker_processes 2;
pid {prefix}/run/nginx.pid;
error_log {prefix}/nginx-error.log;
events {{ worker_connections 768; }}  # Debian's number
http {{
    access_log off;
    client_body_temp_path {prefix}/run/body;
    proxy_temp_path {prefix}/run/proxy;
    fastcgi_temp_path {prefix}/run/fastcgi;
    uwsgi_temp_path {prefix}/run/uwsgi;
    scgi_temp_path {prefix}/run/scgi;
    include {prefix}/etc/nginx/conf.d/*.conf;
}}
"""


class Host:
    """A machine in the folder `prefix`, and the project that its releases come from."""

    def __init__(self, prefix: Path, lock: Path) -> None:
        self.prefix, self.keys = prefix, prefix / "etc" / SLUG / "keys"
        self.ports = [free_port() for _ in range(INSTANCES)]
        self.http, self.https = free_port(), free_port()
        self.project = bake(prefix / "home")
        shutil.copy(lock, self.project)
        pages = self.project / "src" / SLUG / "pages.py"
        pages.write_text(pages.read_text() + OWN_VIEW)
        self.commands = (self.project / "docs" / "one-machine.md").read_text()
        for path in (self.project / "deploy").iterdir():
            path.write_text(self.moved(path.read_text()))
        commit_all(self.project)
        for folder in ("bin", "run", "tmp", "opt/uv/bin", "etc/systemd/system", "etc/nginx/conf.d"):
            (prefix / folder).mkdir(parents=True)
        self.nginx = [
            need("nginx", "nginx"),
            "-p",
            prefix,
            "-e",
            prefix / "nginx-error.log",
            "-c",
            prefix / "nginx.conf",
        ]
        self.program("systemctl", sys.executable, Path(__file__).with_name("systemctl.py"))
        self.program("nginx", *self.nginx)
        (prefix / "opt" / "uv" / "bin" / "uv").symlink_to(need("uv", "uv, by `make test`"))
        (prefix / "nginx.conf").write_text(NGINX.format(prefix=prefix, user="user root;" if os.geteuid() == 0 else ""))
        self.certificate()

    def program(self, name: str, *command: object) -> None:
        path = self.prefix / "bin" / name
        path.write_text("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in command) + ' "$@"\n')
        path.chmod(0o700)

    def certificate(self) -> None:
        folder = self.prefix / "etc" / "letsencrypt" / "live" / NAME
        folder.mkdir(parents=True)
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 2 -batch"
        command += f" -subj /CN={NAME} -addext subjectAltName=DNS:{NAME} -keyout privkey.pem -out fullchain.pem"
        run(need("openssl", "openssl"), *command.split()[1:], cwd=folder)
        self.trust = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
        curlrc = f"cacert={folder / 'fullchain.pem'}\nconnect-to={NAME}:443:127.0.0.1:{self.https}\nnoproxy=*\n"
        (self.prefix / ".curlrc").write_text(curlrc)

    def moved(self, text: str) -> str:
        """`text` with this host's folder in the place of /, its ports, and its third instance."""
        text = re.sub(r"(?<![\w.}/])/(opt|etc|tmp)/", rf"{self.prefix}/\1/", text)
        text = text.replace(f"{SLUG}@8001 {SLUG}@8002", " ".join(f"{SLUG}@{port}" for port in self.ports))
        for line in re.findall(r".*server 127\.0\.0\.1:8001.*\n", text):
            text = text.replace(line, "".join(line.replace("8001", str(port)) for port in self.ports))
            text = re.sub(r".*server 127\.0\.0\.1:8002.*\n", "", text)
        text = re.sub(r"(client_\w+_timeout) 10s", r"\1 60s", text)  # a busy machine connects 400 clients in no less
        text = re.sub(r"listen \[::\].*\n", "", text)  # not every machine that runs tests has IPv6
        for port, own in ((80, self.http), (443, self.https)):
            text = re.sub(rf"listen {port}\b", f"listen 127.0.0.1:{own}", text)
        return text

    def blocks(self, heading: str) -> list[str]:
        """The commands below a heading of the page."""
        section = re.split(r"(?m)^## ", self.commands)[1:]
        text = next(each for each in section if each.startswith(heading))
        return re.findall(r"(?s)```sh\n(.*?)```", text)

    def sh(self, *blocks: str, cwd: Path | None = None, code: int | None = 0) -> str:
        """Run blocks of the page in one shell; no key that is in a file then may be in its output."""
        lines = [line for block in blocks for line in block.splitlines() if not line.startswith(tuple(NOT_RUN))]
        program = Path(shutil.which("uv") or "").parent
        path = os.pathsep.join(map(str, (self.prefix / "bin", os.environ["PATH"], program)))
        env = clean_environ(PREFIX=str(self.prefix), HOME=str(self.prefix), PATH=path)
        env |= {name: os.environ[name] for name in ("UV_CACHE_DIR",) if name in os.environ}
        env.setdefault("UV_CACHE_DIR", run("uv", "cache", "dir", cwd=self.prefix).strip())
        script = self.moved("\n".join(lines))
        output = run("bash", "-euo", "pipefail", "-c", script, cwd=cwd or self.prefix, env=env, code=code)
        assert not any(key in output for key in self.known_keys())
        return output

    def install_release(self) -> None:
        on_project, on_host = self.blocks("Install a release")
        self.sh(on_project, cwd=self.project)
        self.sh(on_host)

    def known_keys(self) -> set[str]:
        """Every key in the files."""
        texts = [path.read_text() for path in self.keys.glob("secret_key*")]
        return {key for text in texts for key in re.split(r"[\s,]+", text) if key}

    def connect(self) -> http.client.HTTPSConnection:
        """A connection to nginx, by the name in its certificate."""
        connection = http.client.HTTPSConnection(NAME, self.https, context=self.trust)
        plain = socket.create_connection(("127.0.0.1", self.https), timeout=10)
        connection.sock = self.trust.wrap_socket(plain, server_hostname=NAME)
        return connection

    def request(self, path: str = "/", method: str = "GET", body: str | None = None, **headers: str) -> tuple[int, str]:
        connection = self.connect()
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body=body, headers=names)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def host(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host on which the page's commands have been run up to a served page."""
    host = Host(tmp_path_factory.mktemp("host"), project.path / "uv.lock")
    with ExitStack() as stack:
        host.sh(*host.blocks("Prepare the host"))
        with (host.prefix / "etc" / SLUG / "env").open("a") as file:
            lines = ["WEB_CONCURRENCY=1", f"GUNICORN_CMD_ARGS=--threads={THREADS}"]
            lines.append(f"FLASK_PERMANENT_SESSION_LIFETIME={LIFETIME}")
            file.writelines(f"{line}\n" for line in lines)
        host.install_release()
        nginx = subprocess.Popen([*map(str, host.nginx), "-g", "daemon off;"], cwd=host.prefix)
        stack.callback(nginx.wait, 20)
        stack.callback(nginx.terminate)
        stack.callback(lambda: host.sh(f"systemctl stop {' '.join(f'{SLUG}@{port}' for port in host.ports)}"))
        with arguments_of_processes() as seen:
            page = host.sh(*host.blocks("Start it"))
        host.key = host.keys.joinpath("secret_key").read_text().strip()
        assert any("gunicorn" in arguments for arguments in seen)
        assert not any(host.key in arguments for arguments in seen)
        assert FIRST in page
        yield host


@contextmanager
def arguments_of_processes() -> Iterator[set[str]]:
    """The arguments of every process that runs meanwhile, as `ps` shows them to any user."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_text(errors="replace"))
                except OSError:  # it has ended
                    continue

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()


class BehindNginx(Fleet):
    """The load, through nginx: it chooses the instance."""

    def __init__(self, host: Host) -> None:
        super().__init__(Path(), host.prefix, {}, instances=0)
        self.host = host

    def get(self, cookie: str) -> tuple[str, int]:
        with self.lock:
            self.requests += 1
        return visit(self.host.connect(), cookie)


def test_every_line_that_is_not_run_is_on_the_page(host: Host) -> None:
    lines = [line for block in re.findall(r"(?s)```sh\n(.*?)```", host.commands) for line in block.splitlines()]
    for start in NOT_RUN:
        assert any(line.startswith(start) for line in lines), start


def test_keys_are_for_root_alone(host: Host) -> None:
    assert host.keys.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in host.keys.iterdir()} == {0o600}
    assert len(host.key) == 64


def test_starting_again_keeps_the_key(host: Host) -> None:
    host.sh(host.blocks("Start it")[0], code=1)
    assert host.known_keys() == {host.key}


def test_unit_is_valid_and_confined(host: Host) -> None:
    need("systemd-analyze", "systemd")
    unit = host.prefix / "etc" / "systemd" / "system" / f"{SLUG}@.service"
    assert run("systemd-analyze", "verify", unit, cwd=host.prefix) == ""
    # Ten times the exposure, of which 10 is the worst.
    run("systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", unit, cwd=host.prefix)


def test_http_is_redirected_to_https(host: Host) -> None:
    for name in (NAME, "evil.example"):
        connection = http.client.HTTPConnection("127.0.0.1", host.http, timeout=10)
        connection.request("GET", "/a%20b?c=d", headers={"Host": name})
        response = connection.getresponse()
        response.read()
        connection.close()
        assert (response.status, response.headers["Location"]) == (301, f"https://{NAME}/a%20b?c=d")


def test_forged_headers_are_not_believed(host: Host) -> None:
    connection = host.connect()
    connection.putrequest("GET", "/seen")
    forged = {
        "X-Forwarded-For": "6.6.6.6",
        "X_Forwarded_For": "6.6.6.6",
        "X-Real-IP": "6.6.6.6",
        "Forwarded": "for=6.6.6.6;host=evil.example;proto=http",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Port": "666",
        "X-Forwarded-Prefix": "/evil",
        "X-Request-ID": "evil-id",
    }
    for name, value in [*forged.items(), *forged.items()]:
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    seen = json.loads(response.read())
    connection.close()
    address, scheme, name, prefix, request_id = seen["known"]
    assert (address, scheme, name, prefix) == ("127.0.0.1", "https", f"{NAME}:{host.https}", "")
    assert re.fullmatch("[0-9a-f]{32}", request_id)
    assert response.headers["X-Request-ID"] == request_id
    arrived = json.dumps(seen["headers"])
    assert not any(value in arrived for value in ("6.6.6.6", "evil", "666"))


@pytest.mark.parametrize("path", ["/readyz", "/%72eadyz", "//readyz", "/./readyz", "/readyz?x=1"])
def test_readiness_stays_inside(host: Host, path: str) -> None:
    """A stranger can't ask for it; who is on the host asks an instance."""
    assert host.request(path)[0] == 404
    assert fetch(f"http://127.0.0.1:{host.ports[0]}/readyz")[0] == 200


def test_a_rollback_without_a_folder_or_an_older_release_removes_nothing(host: Host) -> None:
    releases = host.prefix / "opt" / SLUG / "releases"
    before = sorted(releases.iterdir())
    (precious,) = host.blocks("Roll back")
    assert len(before) == 1
    host.sh(precious, code=1)
    assert sorted(releases.iterdir()) == before
    releases.rename(releases.with_name("elsewhere"))
    folder = host.prefix / "cwd"
    (folder / "only").mkdir(parents=True)
    host.sh(precious, cwd=folder, code=1)
    releases.with_name("elsewhere").rename(releases)
    assert [path.name for path in folder.iterdir()] == ["only"]


def test_a_hidden_host_is_not_served(host: Host) -> None:
    assert host.request(Host="evil.example")[0] == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_Fetch_Site": "same-origin", "Origin": "{own}"}, 200),
        ({"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.example"}, 403),
        ({"Origin": "{own}"}, 200),
        ({"Origin": f"https://{NAME}"}, 403),  # another port is another origin
        ({"Origin": "https://evil.example", "X_Forwarded_Host": "evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_posts_on_a_port_of_its_own(host: Host, headers: dict[str, str], status: int) -> None:
    own = f"https://{NAME}:{host.https}"
    sent = {name: value.format(own=own) for name, value in headers.items()}
    got, body = host.request("/seen", "POST", "a=b", Content_Type="application/x-www-form-urlencoded", **sent)
    assert got == status, body


def test_slow_clients_stay_with_nginx(host: Host) -> None:
    """400 clients, half of them in their headers and half in their bodies, while another one asks for the page."""
    halves = [
        b"GET / HTTP/1.1\r\nHost: %b\r\nX-Slow: " % NAME.encode(),
        b"POST /seen HTTP/1.1\r\nHost: %b\r\nContent-Length: 5000\r\n\r\n%b" % (NAME.encode(), b"x" * 2000),
    ]
    slow = []
    try:
        for number in range(400):
            slow.append(host.connect())
            slow[-1].sock.sendall(halves[number % 2])
        slowest = 0.0
        for _ in range(60):
            began = time.monotonic()
            assert host.request()[0] == 200
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 2
        for connection in slow:  # they were connected all the time
            connection.sock.setblocking(False)
            with pytest.raises(ssl.SSLWantReadError):
                connection.sock.recv(1)
        assert not any("/seen 400" in path.read_text() for path in host.prefix.glob("*.log"))
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.long
def test_rotation_over_instances_with_copies_of_the_files(host: Host) -> None:
    """The page's commands for a rotation, under load: no session is lost, no request fails."""
    fleet = BehindNginx(host)
    fleet.open_sessions(SESSIONS)
    stage_and_promote, retire = host.blocks("Change the key")
    with fleet.load(pause=0.01):
        host.sh(stage_and_promote)
        promoted = host.known_keys()
        assert len(promoted) == 2
        assert host.key in promoted
        deadline = time.monotonic() + 4 * LIFETIME
        while "retire --force" in host.sh(retire, code=None):  # sessions of the older key can be valid
            assert time.monotonic() < deadline
            time.sleep(2)
    fleet.use_all()
    assert (fleet.lost, fleet.failed) == (0, 0), fleet.requests
    assert fleet.requests > 3 * SESSIONS
    assert host.known_keys() == promoted - {host.key}
    assert {path.stat().st_mode & 0o777 for path in host.keys.glob("secret_key*")} == {0o600}
    assert served_by_all(host)
    # A leak: every session is invalid at once.
    host.sh(f"cd /opt/{SLUG}/current\ndeploy/flask key revoke --yes\ndeploy/restart")
    fleet.use_all()
    assert (fleet.lost, fleet.failed) == (SESSIONS, 0)


def test_without_staging_sessions_are_lost(host: Host) -> None:
    """What shows that the test above can fail: an instance signs with a key that the others do not know."""
    fleet = BehindNginx(host)
    fleet.open_sessions(SESSIONS)
    with fleet.load(pause=0.01):
        host.sh(f"cd /opt/{SLUG}/current\ndeploy/flask key stage\ndeploy/flask key promote\ndeploy/restart")
    assert fleet.failed == 0
    assert fleet.lost > 0


def served_by_all(host: Host) -> bool:
    """Whether every instance answers a health check, for which it is asked directly."""
    return all(fetch(f"http://127.0.0.1:{port}/healthz")[0] == 200 for port in host.ports)


@pytest.mark.long
def test_a_release_that_does_not_start_is_rolled_back(host: Host) -> None:
    """It takes one instance; the others serve the release before, until all do."""
    fleet = BehindNginx(host)
    fleet.open_sessions(20)
    factory = host.project / "src" / SLUG / "__init__.py"
    good = factory.read_text()
    factory.write_text(good.replace("    app = Flask(", '    raise RuntimeError("broken release")\n    app = Flask('))
    commit_all(host.project)
    with fleet.load(threads=1, pause=0.01):
        host.install_release()
        host.sh(*host.blocks("Update"), code=1)
        assert FIRST in host.request()[1]
        host.sh(*host.blocks("Roll back"))
    assert (fleet.lost, fleet.failed) == (0, 0), fleet.requests
    assert served_by_all(host)
    assert len(list((host.prefix / "opt" / SLUG / "releases").iterdir())) == 1
    factory.write_text(good)
    page = host.project / "src" / SLUG / "templates" / "index.html"
    page.write_text(page.read_text().replace("{% block main %}", "{% block main %}the second release"))
    commit_all(host.project)
    for _ in range(3):
        time.sleep(1.1)  # a release has its second as its name
        host.install_release()
        host.sh(*host.blocks("Update"))
    assert all("the second release" in host.request()[1] for _ in host.ports)
    releases = sorted((host.prefix / "opt" / SLUG / "releases").iterdir())
    assert len(releases) == 3
    assert (host.prefix / "opt" / SLUG / "current").resolve() == releases[-1]
