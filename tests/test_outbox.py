"""The outbox: real SMTP servers that are slow, hang, defer and reject, and processes that are killed."""

import asyncio
import os
import re
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from accounts_service import MAILS, PASSWORD, Inbox, Visitor, service, smtp_server, someone
from aiosmtpd.smtp import Envelope
from servers import until
from support import SLUG, Project, clean_environ, free_port, need, production, run
from test_account_releases import nginx

pytestmark = pytest.mark.xdist_group("outbox")


class Server:
    """A mail server that does to each mail what it is told; it keeps the recipients of those it took."""

    def __init__(self, *replies: str, seconds: float = 0) -> None:
        self.replies, self.seconds = list(replies), seconds
        self.taken: list[str] = []
        self.tried: list[float] = []

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:  # noqa: N802
        self.tried.append(time.monotonic())
        await asyncio.sleep(self.seconds)
        reply = self.replies.pop(0) if self.replies else "250 OK"
        if reply.startswith("250"):
            self.taken.extend(envelope.rcpt_tos)
        return reply


def mails(accounts: Project, folder: Path, smtp: str) -> str:
    """The lines about mails that `flask mail list` prints."""
    variables = production(DATABASE_URL=f"sqlite:///{folder}/accounts.sqlite", MAIL_URL=smtp)
    env = clean_environ(**variables)
    output = run(accounts.program("flask"), "--app", SLUG, "mail", "list", cwd=folder, env=env)
    return "".join(line for line in output.splitlines() if " asked " in line)


def ask(address: str, count: int) -> list[str]:
    """Ask for mails to as many new addresses; each request is answered at once, whatever the server does."""
    emails = [someone() for _ in range(count)]
    for email in emails:
        began = time.perf_counter()
        assert Visitor(address).ask("/accounts/sign-up", email=email).status == 200
        assert time.perf_counter() - began < 2
    return emails


@pytest.mark.long
def test_a_server_that_defers_gets_the_mail_again(accounts: Project, tmp_path: Path) -> None:
    server = Server("451 later", "451 later")
    with smtp_server(server) as smtp, service(accounts, tmp_path, smtp) as address:
        emails = ask(address, 1)
        until(lambda: server.taken == emails, "the mail did not come", 40)
        assert len(server.tried) == 3
        assert server.tried[2] - server.tried[1] > server.tried[1] - server.tried[0] > 3
        until(lambda: mails(accounts, tmp_path, smtp) == "", "the row is still there")


def test_a_mail_that_is_rejected_is_given_up_and_shown(accounts: Project, tmp_path: Path) -> None:
    server = Server("550 no such mailbox")
    with smtp_server(server) as smtp, service(accounts, tmp_path, smtp) as address:
        emails = ask(address, 1)
        until(lambda: "given up" in mails(accounts, tmp_path, smtp), "it is not given up")
        shown = mails(accounts, tmp_path, smtp)
        assert emails[0] in shown
        assert "550" in shown
        other = ask(address, 1)
        until(lambda: server.taken == other, "others wait for it")


def test_a_server_that_hangs_holds_up_no_request_and_loses_no_mail(accounts: Project, tmp_path: Path) -> None:
    port = free_port()

    listener = socket.create_server(("127.0.0.1", port))
    with service(accounts, tmp_path, f"smtp://127.0.0.1:{port}", WEB_CONCURRENCY="1") as address:
        emails = ask(address, 3)  # the server accepts connections, and says nothing
        time.sleep(2)
        assert Visitor(address).ask("/").status == 200
        listener.close()
        server = Server()
        with smtp_server(server, port=port):
            until(lambda: sorted(server.taken) == sorted(emails), "mails are lost", 60)


@contextmanager
def killed(accounts: Project, folder: Path, smtp: str, number: int) -> Iterator[list[str]]:
    """Two processes with forty mails to send, killed in the middle, and started again."""
    with service(accounts, folder, smtp) as address:
        emails = ask(address, 40)
        time.sleep(2)
        bind = f"bind={address.removeprefix('http://')}"
        if number == signal.SIGKILL:
            for pid in run(need("pgrep", "procps"), "--full", bind, cwd=folder).split():
                os.kill(int(pid), number)
            time.sleep(0.5)
        # With SIGTERM the service ends as a restart ends it.
    with service(accounts, folder, smtp) as address:
        assert Visitor(address).ask("/").status == 200
        yield emails


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_forty_waiting_mails_arrive_over_a_restart(accounts: Project, tmp_path: Path, number: int) -> None:
    """A server of four seconds a mail. Only what two processes had in hand may come twice."""
    server = Server(seconds=4)
    with smtp_server(server) as smtp, killed(accounts, tmp_path, smtp, number) as emails:
        until(lambda: set(server.taken) >= set(emails), "mails are lost", 240)
        counts = Counter(server.taken)
        assert set(counts) == set(emails)
        assert sum(counts.values()) - 40 <= 2
        until(lambda: mails(accounts, tmp_path, smtp) == "", "rows are left")


def test_two_processes_send_no_mail_twice(accounts: Project, tmp_path: Path) -> None:
    server = Server(seconds=0.05)
    with smtp_server(server) as smtp, service(accounts, tmp_path, smtp, WEB_CONCURRENCY="3") as address:
        emails = ask(address, 60)
        until(lambda: set(server.taken) >= set(emails), "mails are lost", 60)
        assert Counter(server.taken) == Counter(emails)


def test_no_log_has_a_token_and_no_link_is_made_from_a_request(accounts: Project, tmp_path: Path) -> None:
    """nginx logs every address; a link's token stands behind its `#`, which is sent to nobody."""
    with smtp_server(Inbox()) as smtp:
        more: dict[str, Any] = {"TRUSTED_HOSTS": ".shop.example,127.0.0.1", "SERVICE_URL": "https://www.shop.example"}
        with service(accounts, tmp_path, smtp, **more) as address:
            with nginx(tmp_path, address) as front:
                email = someone()
                visitor = Visitor(front)
                visitor.host_header = "evil.shop.example"
                token = visitor.link(email)
                assert re.search(r"https://www\.shop\.example/accounts/choose#", MAILS[email][-1])
                visitor.ask("/accounts/choose")
                assert visitor.choose(token).status == 302
            logs = (tmp_path / "access.log").read_text()
            assert "/accounts/choose" in logs
            assert token not in logs
            for log in tmp_path.glob("*.log"):
                assert token not in log.read_text()
                assert PASSWORD not in log.read_text()


ENDS = f"""
import atexit, threading, time
from {SLUG} import create_app
from {SLUG}.accounts import outbox

def fail_at_the_end():
    threading.main_thread().join()
    raise RuntimeError("can't start a thread at interpreter shutdown")

outbox.send_due = fail_at_the_end
atexit.register(time.sleep, 0.5)  # in which the thread comes to its end
create_app().test_client().get("/healthz", base_url="https://localhost")
"""


def test_a_process_that_ends_logs_no_failure(accounts: Project, tmp_path: Path) -> None:
    """A script that makes one request, such as a cron job: connections can't be opened when it ends."""
    variables = production(MAIL_URL="smtp://localhost", DATA_FOLDER=str(tmp_path))
    assert "Traceback" not in accounts.run("python", "-c", ENDS, **variables)
