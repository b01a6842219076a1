"""Accounts, attacked and used: through gunicorn with two workers, a real SMTP server, Redis and Chromium."""

import importlib
import importlib.util
import random
import re
import secrets
import ssl
import statistics
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from accounts_service import MAILS, OTHER, PASSWORD, Inbox, Visitor, service, smtp_server, someone
from aiosmtpd.smtp import AuthResult, Envelope
from argon2 import PasswordHasher
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from flask.json.tag import TaggedJSONSerializer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from itsdangerous import URLSafeTimedSerializer
from playwright.sync_api import Browser
from servers import redis, until
from support import RAW_PACKAGE, SLUG, Project, clean_environ, free_port, need, production, run, serve, take_picture

pytestmark = pytest.mark.xdist_group("accounts")


class Envelopes:
    """Keeps what a mail server is told: who logs in, the sender, the recipients, and the mail."""

    def __init__(self) -> None:
        self.logins: list[str] = []
        self.seen: list[Envelope] = []

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:  # noqa: N802
        self.seen.append(envelope)
        return "250 OK"


@pytest.fixture(scope="module")
def package() -> ModuleType:
    """The package as it lies in the template, in this process."""
    place = {"submodule_search_locations": [str(RAW_PACKAGE)]}
    spec = importlib.util.spec_from_file_location("raw_accounts", RAW_PACKAGE / "__init__.py", **place)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["raw_accounts"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def smtp() -> Iterator[str]:
    with smtp_server(Inbox()) as address:
        yield address


@pytest.fixture(scope="module")
def address(accounts: Project, smtp: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with service(accounts, tmp_path_factory.mktemp("accounts"), smtp) as address:
        yield address


# The mail server


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two self-signed certificates, each with its key: one of 127.0.0.2, one of another name."""
    folder = tmp_path_factory.mktemp("certificates")
    names = {"right": "IP:127.0.0.2", "other": "DNS:mail.example.net"}
    for name, subject in names.items():
        options = f"req -x509 -nodes -days 2 -newkey rsa:2048 -subj /CN={name} -addext subjectAltName={subject}"
        files = f"-keyout {name}.key -out {name}.pem"
        run(need("openssl", "openssl"), *options.split(), *files.split(), cwd=folder)
    return folder


@contextmanager
def tls_server(scheme: str, certificate: Path | None, seen: Envelopes) -> Iterator[str]:
    """A mail server at 127.0.0.2 that asks for a login; without a certificate it offers no STARTTLS."""

    def authenticate(server: object, session: object, envelope: object, mechanism: str, data: Any) -> AuthResult:
        seen.logins.append(data.login.decode())
        return AuthResult(success=True)

    options: dict[str, Any] = {"authenticator": authenticate, "hostname": "127.0.0.2"}
    options["auth_require_tls"] = scheme == "smtp" and certificate is not None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        options["ssl_context" if scheme == "smtps" else "tls_context"] = context
    with smtp_server(seen, **options) as address:
        yield address.replace("smtp://", f"{scheme}://ann:secret@")


MAIL_SERVERS = {
    # The certificate that it shows, the one that is trusted, and whether mail is sent.
    "right": ("right", "right", True),
    "another name": ("other", "other", False),
    "not trusted": ("right", "other", False),
    "another name, not trusted": ("other", "right", False),
}


@pytest.mark.parametrize("by_setting", [False, True])
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize(("shown", "trusted", "is_sent"), MAIL_SERVERS.values(), ids=MAIL_SERVERS)
def test_only_a_mail_server_with_a_trusted_certificate_of_its_name_sees_login_and_mail(
    package: ModuleType,
    certificates: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    shown: str,
    trusted: str,
    is_sent: bool,
    by_setting: bool,
) -> None:
    """The authority is one that the system trusts, or of the setting."""
    mail, message, seen = importlib.import_module(f"{package.__name__}.accounts.mail"), EmailMessage(), Envelopes()
    authority = str(certificates / f"{trusted}.pem")
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "/dev/null" if by_setting else authority)
    with tls_server(scheme, certificates / f"{shown}.pem", seen) as address, ExitStack() as rejected:
        if not is_sent:
            rejected.enter_context(pytest.raises(mail.DeferredError))
        config = {"MAIL_URL": address, "MAIL_CA_FILE": authority if by_setting else ""}
        mail.deliver(config, message, "ann@example.org")
    assert seen.logins == ["ann"] * is_sent
    assert [envelope.rcpt_tos for envelope in seen.seen] == [["ann@example.org"]] * is_sent


@pytest.mark.parametrize("scheme", ["smtp", "smtptls"])
def test_neither_login_nor_mail_goes_over_a_network_in_clear(package: ModuleType, scheme: str) -> None:
    """A server that offers no STARTTLS, or somebody between who takes the offer out; and a scheme that is mistyped."""
    mail, message, seen = importlib.import_module(f"{package.__name__}.accounts.mail"), EmailMessage(), Envelopes()
    with tls_server(scheme, None, seen) as address, pytest.raises(mail.DeferredError):
        mail.deliver({"MAIL_URL": address, "MAIL_CA_FILE": ""}, message, "ann@example.org")
    assert (seen.logins, seen.seen) == ([], [])


# Who has an account


def more_often_slower(known: list[float], unknown: list[float]) -> float:
    """How often a time of the first is longer than one of the second: about half where nobody can tell them apart."""
    pairs = [(a > b) for a in known for b in unknown]
    return sum(pairs) / len(pairs)


@pytest.mark.parametrize("page", ["sign-in", "sign-up", "reset"])
def test_neither_page_nor_time_tells_who_has_an_account(address: str, page: str) -> None:
    known, bodies = someone(), {}
    Visitor(address).sign_up(known)
    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(60):
        for is_known in random.sample([True, False], 2):
            # Five mails an hour are the limit for an address: each has few, and the known one is asked again and again.
            email = known if is_known else someone()
            visitor = Visitor(address)
            if page != "sign-in" and is_known and number % 4 == 3:
                known = someone()
                Visitor(address).sign_up(known)
                email = known
            form = {"email": email, "password": "wrong"} if page == "sign-in" else {"email": email}
            if page == "sign-in" and is_known and number % 9 == 8:  # before the limit on guesses
                known = someone()
                Visitor(address).sign_up(known)
                form["email"] = email = known
            began = time.perf_counter()
            answer = visitor.ask(f"/accounts/{page}", **form)
            times[is_known].append(time.perf_counter() - began)
            assert answer.status == (422 if page == "sign-in" else 200)
            bodies[is_known] = re.sub(r"<code>\w+</code>|nonce-\S+", "", answer.text).replace(email, "")
    assert bodies[True] == bodies[False]
    assert 0.25 < more_often_slower(times[True], times[False]) < 0.75, {
        is_known: statistics.quantiles(each) for is_known, each in times.items()
    }


def test_a_measurement_of_times_can_tell_a_difference() -> None:
    """What shows that the test above can fail: twenty milliseconds, as a hash takes."""
    quick, slow = ([random.gauss(mean, 0.005) for _ in range(60)] for mean in (0.01, 0.03))
    assert more_often_slower(slow, quick) > 0.9


# Sessions


def test_signing_in_keeps_nothing_of_the_session_before(address: str) -> None:
    email = someone()
    Visitor(address).sign_up(email)
    attacker, victim = Visitor(address), Visitor(address)
    attacker.ask("/")
    victim.cookies = dict(attacker.cookies)  # fixation: the victim begins with a session of the attacker's
    assert victim.sign_in(email).status == 302
    assert victim.cookies != attacker.cookies
    assert victim.is_signed_in()
    assert not attacker.is_signed_in()
    assert "first visit" in victim.ask("/").text


def test_a_cookie_holds_nothing_of_the_password(address: str) -> None:
    visitor = Visitor(address).sign_up(someone())
    cookie = visitor.cookies[f"__Host-{SLUG}"]
    _, content = URLSafeTimedSerializer("", serializer=TaggedJSONSerializer()).loads_unsafe(cookie)
    number = content.pop("account_session")
    assert content.keys() <= {"_permanent", "_flashes"}
    assert re.fullmatch(r"[\w-]{43}", number)  # 256 bits


def test_a_change_ends_the_sessions_of_others(address: str) -> None:
    email = someone()
    one, two = Visitor(address).sign_up(email), Visitor(address)
    two.sign_in(email)
    one.ask("/accounts/password", current=PASSWORD, password=OTHER)
    assert (one.is_signed_in(), two.is_signed_in()) == (True, False)
    two.sign_in(email, OTHER)
    two.sign_out_elsewhere(OTHER)
    assert (one.is_signed_in(), two.is_signed_in()) == (False, False)


# Links


def test_a_link_is_for_one_account_and_once(address: str) -> None:
    ann, bob = someone(), someone()
    Visitor(address).sign_up(ann)
    Visitor(address).sign_up(bob)
    visitor, token = Visitor(address), Visitor(address).link(ann, "reset")
    for forged in (token[:-1], f"{token}x", "", "a.b.c", token.replace(".", "..", 1)):
        assert visitor.choose(forged, OTHER).headers["Location"] == "/accounts/reset"
    assert visitor.choose(token, OTHER, email=bob, id="1", stamp="x").status == 302
    assert bob not in visitor.ask("/accounts/").text
    assert visitor.choose(token, OTHER).headers["Location"] == "/accounts/reset"
    assert Visitor(address).sign_in(bob, OTHER).status == 422
    assert Visitor(address).sign_in(ann, OTHER).status == 302


def test_a_link_is_void_after_a_change_and_a_sign_up_link_once_there_is_an_account(address: str) -> None:
    email = someone()
    first, second = Visitor(address).link(email), Visitor(address).link(email)
    owner = Visitor(address)
    owner.choose(first)
    assert Visitor(address).choose(second, OTHER).headers["Location"] == "/accounts/reset"
    reset = Visitor(address).link(email, "reset")
    owner.ask("/accounts/password", current=PASSWORD, password=OTHER)
    assert Visitor(address).choose(reset).headers["Location"] == "/accounts/reset"
    reset = Visitor(address).link(email, "reset")
    owner.ask("/accounts/delete", current=OTHER)
    assert Visitor(address).choose(reset).headers["Location"] == "/accounts/reset"


def test_concurrent_sign_ups_of_one_address_make_one_account(address: str) -> None:
    email = someone()
    paths = [Visitor(address).link(email) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda path: Visitor(address).choose(path), paths))
    assert {answer.status for answer in answers} == {302}
    assert [answer.headers["Location"] for answer in answers].count("/accounts/") == 1
    assert Visitor(address).sign_in(email).status == 302


# What is typed


@pytest.mark.parametrize(
    "email",
    [
        "ann@example.org\r\nBcc: eve@example.org",
        "ann@example.org\nBcc: eve@example.org",
        "ann@example.org, eve@example.org",
        "ann@example.org eve@example.org",
        "ann@ex\u0430mple.org",  # Cyrillic
        "\u0251nn@example.org",
        "\uff41nn@example.org",
        "ann@example.\u2488org",
        "m\u0131ke@example.org",
        "<ann@example.org>",
        "ann",
        "@example.org",
        "a" * 300 + "@example.org",
        "ann@" + "a" * 300 + ".org",
        "=?utf-8?q?bob=40evil.org=3e?=.@example.org",  # an encoded word (RFC 2047): bob@evil.org, as it is parsed
        "=?utf-8?q?bob=40evil.org=2ceve=40evil.org=2c?=@example.org",
        "eve%evil.org@example.org",  # routes to another host (RFC 5321, appendix F.2)
        "evil.org!eve@example.org",
        "@evil.org:ann@example.org",
        '"ann"@example.org',
        '"eve@evil.org"@example.org',
        "ann(eve@evil.org)@example.org",
        "ann@example.org(eve)",
        "ann\\@evil.org@example.org",
        "ann..lee@example.org",
        ".ann@example.org",
        "ann.@example.org",
        "ann@example..org",
        "ann@example.org.",
        "ann@-example.org",
        "ann@example.-org",
        "ann@10.20.30.40",
        "ann@[10.20.30.40]",
        "",
    ],
)
def test_what_is_no_address_gets_no_mail(address: str, email: str) -> None:
    answer = Visitor(address).ask("/accounts/sign-up", email=email, more="x")
    assert answer.status == 422
    assert 'aria-invalid="true"' in answer.text
    assert not [recipient for recipient in MAILS if not re.fullmatch(r"ann\.[0-9a-f]{8}@example\.org", recipient)]


WORDS = ["ann", "bob=40evil.org=3e", "=?utf-8?q?", "=?us-ascii?b?", "?=", "=2c", "=20", "..", "@evil.org", "\r\n"]
PIECES = st.sampled_from([*WORDS, *"""=?.-_+%!"\\()<>,;:[] @'`|"""])
LOCALS = st.one_of(
    st.lists(PIECES, max_size=8).map("".join),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=64),
    st.text("abcdefghij0123456789.!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=64),
    st.text("abc", min_size=64, max_size=64),
)
LABELS = st.text("abc019-", min_size=1, max_size=63)
DOMAINS = st.one_of(
    st.just("example.org"),
    st.lists(LABELS, min_size=1, max_size=5).map(".".join),
    st.lists(PIECES, max_size=5).map("".join),
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(emails=st.lists(st.tuples(LOCALS, DOMAINS).map("@".join), min_size=1, max_size=10))
@example(["=?utf-8?q?bob=40evil.org=3e?=.@example.org", "=?utf-8?q?bob=40evil.org=2c?=@example.org"])
@example(["a" * 64 + "@" + "b" * 63 + "." + "c" * 63 + "." + "d" * 57 + ".org"])
@example(["o'brien+news=ann@example.org", "{a|b}~^`@example.org", "a_-/$&*#@example.org", "ann@xn--bcher-kva.example"])
def test_a_mail_goes_to_the_address_that_was_asked_for_and_to_no_other(package: ModuleType, emails: list[str]) -> None:
    """Whatever is accepted is the one recipient that a real server is told, and the one address in To."""
    mail = importlib.import_module(f"{package.__name__}.accounts.mail")
    models = importlib.import_module(f"{package.__name__}.accounts.models")
    handler = Envelopes()
    accepted = [email for each in emails if (email := models.normal(each))]
    with smtp_server(handler) as address:
        config = {"MAIL_URL": address, "MAIL_FROM": "Shop <service@shop.example>", "MAIL_CA_FILE": ""}
        for number, email in enumerate(accepted):
            row = models.Mail(id=number, recipient=email, purpose="link", asked=1)
            mail.deliver(config, mail.compose(config, row, "Your account", "A link\n"), email)
    assert sorted(email for each in handler.seen for email in each.rcpt_tos) == sorted(accepted)
    for envelope in handler.seen:
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert [each.addr_spec for each in message["To"].addresses] == envelope.rcpt_tos
        assert envelope.mail_from == "service@shop.example"
        assert message["Date"].datetime.tzinfo is not None
        assert re.fullmatch(r"<link-\d+-1@shop\.example>", message["Message-ID"])


def test_the_envelope_is_never_read_from_a_header(package: ModuleType) -> None:
    """The second line of defence: what got past the form would still reach nobody else."""
    mail, handler = importlib.import_module(f"{package.__name__}.accounts.mail"), Envelopes()
    message = EmailMessage()
    message["To"] = "eve@evil.org, mallory@evil.org"
    with smtp_server(handler) as address:
        config = {"MAIL_URL": address, "MAIL_CA_FILE": ""}
        with pytest.raises(mail.RejectedError):
            mail.deliver(config, message, "=?utf-8?q?bob=40evil.org=3e?=.@example.org")
        assert handler.seen == []
        mail.deliver(config, message, "ann@example.org")
    assert [envelope.rcpt_tos for envelope in handler.seen] == [["ann@example.org"]]


def test_an_address_in_other_letters_is_the_same_account(address: str) -> None:
    email = someone()
    Visitor(address).sign_up(email)
    assert Visitor(address).sign_in(f"  {email.upper()} ").status == 302


TARGETS = ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "/\tevil", "javascript:x"]


@pytest.mark.parametrize("target", [*TARGETS, "///evil.example", "/%09/evil.example\r\nX: y", "evil.example"])
def test_next_leads_nowhere_else(address: str, target: str) -> None:
    email = someone()
    Visitor(address).sign_up(email)
    answer = Visitor(address).sign_in(email, target=f"?next={urllib.parse.quote(target)}")
    location = urllib.parse.urlsplit(answer.headers["Location"])
    assert (location.scheme, location.netloc, location.path) == ("", "", "/accounts/")


def test_very_long_passwords_take_no_time(address: str) -> None:
    email = someone()
    Visitor(address).sign_up(email)
    began = time.perf_counter()
    assert Visitor(address).sign_in(email, "x" * 400_000).status == 422
    assert Visitor(address).choose(Visitor(address).link(email, "reset"), "ab1" * 100_000).status == 422
    assert Visitor(address).sign_in(email, "x" * 3_000_000).status == 413
    assert time.perf_counter() - began < 5
    assert Visitor(address).ask("/accounts/sign-in", email=email).status == 400  # no password at all


def test_unicode_passwords_are_the_same_however_they_are_composed(address: str) -> None:
    email = someone()
    Visitor(address).sign_up(email, "caf\u00e9 m\u00fcnchen harbour 41")
    assert Visitor(address).sign_in(email, "cafe\u0301 mu\u0308nchen harbour 41").status == 302


# Limits


def test_guesses_are_limited_by_account_and_by_address(address: str) -> None:
    email = someone()
    Visitor(address).sign_up(email)
    # Two workers count for themselves, and begin again where their memory storage fails once.
    statuses = [Visitor(address).sign_in(email, "wrong").status for _ in range(48)]
    assert statuses.count(429) >= 4
    one = Visitor(address, ip="10.9.9.9")
    answers = [one.sign_in(someone(), "wrong") for _ in range(66)]
    assert answers[0].status == 422
    refused = next(answer for answer in answers if answer.status == 429)
    assert int(refused.headers["Retry-After"]) > 0
    assert "Too many attempts" in refused.text
    assert Visitor(address).sign_in(someone(), "wrong").status == 422


def test_limits_in_redis_hold_for_all_and_go_on_in_memory_while_it_is_away(
    accounts: Project, smtp: str, tmp_path: Path
) -> None:
    with redis() as store:
        more = {"RATELIMIT_STORAGE_URI": f"redis://127.0.0.1:{store.port}"}
        with service(accounts, tmp_path / "service", smtp, **more) as address:
            email = someone()
            statuses = [Visitor(address).sign_in(email, "wrong").status for _ in range(12)]
            assert statuses == [422] * 10 + [429] * 2  # of both workers together
            store.stop()
            other = someone()
            statuses = [Visitor(address).sign_in(other, "wrong").status for _ in range(26)]
            assert set(statuses) == {422, 429}
            assert statuses[0] == 422
            store.start()
            until(lambda: Visitor(address).sign_in(someone(), "wrong").status == 422, "it does not come back")


class Counting(PasswordHasher):
    """Counts how many hashes run at the same time."""

    def __init__(self) -> None:
        super().__init__(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self.lock, self.running, self.most = threading.Lock(), 0, 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            yield
            time.sleep(0.01)  # so that others would get in
        finally:
            with self.lock:
                self.running -= 1

    def hash(self, *arguments: Any, **more: Any) -> str:
        with self.counted():
            return super().hash(*arguments, **more)

    def verify(self, *arguments: Any, **more: Any) -> Any:
        with self.counted():
            return super().verify(*arguments, **more)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_no_more_hashes_run_at_once_than_the_setting_says(
    package: ModuleType, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """In 24 threads, which compare, hash anew what was hashed cheaply, and choose a password."""
    passwords = importlib.import_module(f"{package.__name__}.accounts.passwords")
    models = importlib.import_module(f"{package.__name__}.accounts.models")
    hasher, app = Counting(), Flask("shop")
    monkeypatch.setattr(passwords, "hasher", hasher)
    monkeypatch.setattr(passwords, "WAIT", 60)
    app.config["HASHES_AT_ONCE"] = limit
    passwords.init_app(app)
    cheap = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)

    def work(number: int) -> bool:
        user = models.Account(email="ann@example.org", password_hash=cheap) if number % 3 else None
        with app.app_context():
            if number % 3 == 2:
                passwords.change(user, PASSWORD)
            return bool(passwords.is_right(user, PASSWORD))

    with ThreadPoolExecutor(24) as pool:
        assert list(pool.map(work, range(48))) == [bool(number % 3) for number in range(48)]
    assert hasher.most == limit


# The key


@pytest.mark.long
def test_a_rolling_rotation_keeps_sessions_and_links_and_revoke_ends_both(
    accounts: Project, smtp: str, tmp_path: Path
) -> None:
    """Two instances with one database; each restarts after each step."""
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "secret_key").write_text(secrets.token_hex(32))
    more = {"CREDENTIALS_DIRECTORY": str(folder), "DATABASE_URL": f"sqlite:///{tmp_path}/one.sqlite"}
    more["WEB_CONCURRENCY"] = "1"
    env = clean_environ(**production(**more, MAIL_URL=smtp))
    del env["SECRET_KEY"]

    def key(*step: str) -> None:
        run(accounts.program("flask"), "--app", SLUG, "key", *step, cwd=folder, env=env)

    with ExitStack() as stack:
        instances: list[tuple[Any, str]] = []
        for name in ("a", "b"):
            context = service(accounts, tmp_path / name, smtp, **more)
            instances.append((context, context.__enter__()))
        stack.callback(lambda: [context.__exit__(None, None, None) for context, _ in instances])

        def restart(number: int) -> None:
            instances[number][0].__exit__(None, None, None)
            context = service(accounts, tmp_path / "ab"[number], smtp, **more)
            instances[number] = (context, context.__enter__())

        def everywhere(ask: Callable[[Visitor], int], visitor: Visitor | None = None) -> list[int]:
            """The status at each instance."""
            found = []
            for _, address in instances:
                each = visitor or Visitor(address)
                each.host = urllib.parse.urlsplit(address).netloc
                found.append(ask(each))
            return found

        def is_read(token: str) -> list[int]:
            """422 if a link can be used: it is not, because of the password."""
            return everywhere(lambda each: each.choose(token, "short").status)

        def is_known(visitor: Visitor) -> list[int]:
            return everywhere(lambda each: each.ask("/accounts/").status, visitor)

        email = someone()
        visitor = Visitor(instances[0][1]).sign_up(email)
        link = Visitor(instances[0][1]).link(email, "reset")
        for step in ("stage", "promote"):
            key(step)
            for number in (0, 1):
                restart(number)
                assert is_known(visitor) == [200, 200]
                assert is_read(link) == [422, 422]
        newer = Visitor(instances[1][1]).link(email, "reset")  # signed with the new key
        assert is_read(newer) == [422, 422]
        key("revoke", "--yes")
        restart(0)
        assert is_known(visitor)[0] == 302
        assert is_read(newer)[0] == 302


# In a browser


# The names of pairs of controls that overlap or touch: each has to be hit with a finger (WCAG 2.2, 2.5.8).
TOUCHING = """
() => {
  const shown = [...document.querySelectorAll("input, button, a")].map((each) => [each, each.getBoundingClientRect()])
    .filter(([each, box]) => box.width && box.right > 0 && !each.matches(".skip"));
  const touch = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  return shown.flatMap(([a, box], index) => shown.slice(index + 1)
    .filter(([b, other]) => touch(box, other)).map(([b]) => `${a.outerHTML} ${b.outerHTML}`));
}
"""


def test_the_whole_walk_in_a_browser(accounts: Project, browser: Browser, tmp_path: Path) -> None:
    """By keyboard, under the policy of development, from 320 to 1280 px. Mail comes to the terminal."""
    port, log = free_port(), tmp_path / "out"
    env = clean_environ(
        DATABASE_URL=f"sqlite:///{tmp_path}/walk.sqlite",
        PYTHONUNBUFFERED="1",
        FLASK_DEBUG_TB_ENABLED="false",
    )
    accounts.run("flask", "db", "upgrade", DATABASE_URL=f"sqlite:///{tmp_path}/walk.sqlite")
    command = [
        "sh",
        "-c",
        f"exec {accounts.program('flask')} run --no-reload --port {port} > {log}",
    ]  # mailed links have it
    context = browser.new_context(viewport={"width": 320, "height": 800})
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    email = someone()

    def mailed() -> str:
        until(lambda: "choose#" in log.read_text(), "no mail was printed")
        return re.findall(r"http\S+choose#\S+", log.read_text())[-1]

    def enter() -> None:
        with page.expect_navigation():
            page.keyboard.press("Enter")

    def picture(name: str) -> None:
        page.wait_for_load_state()  # its stylesheets, too
        sizes: list[tuple[Any, int]] = [("dark", 320), ("light", 360), ("dark", 360), ("light", 1280)]
        for scheme, width in sizes:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (name, width)
            barriers = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
            assert barriers.violations_count == 0, (name, scheme, barriers.generate_report())
            assert page.evaluate(TOUCHING) == [], (name, width)
            if name == "sign-in" and width == 1280:
                take_picture(page, name)

    with serve(command, port, accounts.path, env) as address:
        page.goto(address)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        picture("first page")
        page.click("text=Sign in")
        assert page.url.endswith("/accounts/sign-in")
        page.goto(f"{address}/accounts/")
        assert page.url.endswith("/accounts/sign-in?next=/accounts/?")
        picture("sign-in")
        page.click("text=Create an account")
        page.fill("#email", "no address")
        page.evaluate("document.querySelector('form').noValidate = true")
        enter()
        assert page.locator("#email").get_attribute("aria-invalid") == "true"
        assert "not an address" in page.inner_text("#email-note")
        page.fill("#email", email)
        enter()
        assert email in page.inner_text("main")
        assert "terminal" in page.inner_text("main")
        picture("sent")
        page.goto(mailed())
        assert page.url.endswith("/accounts/choose")  # the token is out of the address
        assert page.locator("#token").is_hidden()
        assert page.locator("#password").get_attribute("autocomplete") == "new-password"
        page.fill("#password", "passwordpassword")
        enter()
        assert "easy to guess" in page.inner_text("#password-note")
        picture("choose")
        page.fill("#password", PASSWORD)
        enter()
        assert email in page.inner_text("main")
        picture("account")
        page.click("text=Where you are signed in")
        assert "(this one)" in page.inner_text("main")
        picture("browsers")
        page.fill("#current", PASSWORD)
        page.press("#current", "Enter")  # which presses a button, and must not press just any
        page.wait_for_timeout(300)
        assert "(this one)" in page.inner_text("main")
        page.click("text=Back to your account")
        page.click("text=Change the password")
        picture("password")
        page.click("text=Back to your account")
        page.click("text=Sign out")
        assert "signed out" in page.inner_text("[role=status]")
        for field, kind in {"email": "username", "password": "current-password"}.items():
            assert page.locator(f"#{field}").get_attribute("autocomplete") == kind
            assert page.locator(f"label[for={field}]").is_visible()
        page.fill("#email", email)
        page.keyboard.press("Tab")
        page.keyboard.type("wrong")
        enter()
        assert page.locator("#password").get_attribute("aria-invalid") == "true"
        assert page.input_value("#email") == email
        picture("wrong")
        page.fill("#password", PASSWORD)
        enter()
        assert email in page.inner_text("main")
        page.click("text=Change the address")
        picture("address")
        email = someone()
        page.fill("#email", email)
        page.fill("#current", PASSWORD)
        enter()
        until(lambda: "address/confirm#" in log.read_text(), "no mail was printed")
        page.goto(re.findall(r"http\S+confirm#\S+", log.read_text())[-1])
        picture("confirm")
        page.click("button")
        page.fill("#email", email)
        page.fill("#password", PASSWORD)
        enter()
        assert email in page.inner_text("main")
        page.click("text=Delete the account")
        picture("delete")
        page.fill("#current", PASSWORD)
        page.click("text=Delete it for good")
        assert "deleted" in page.inner_text("[role=status]")
        for _ in range(12):
            page.fill("#email", email)
            page.fill("#password", "wrong")
            enter()
            if page.inner_text("h1") == "Too Many Requests":
                break
        assert page.inner_text("h1") == "Too Many Requests"
        picture("throttled")
    context.close()
    assert [text for text in wrong if not re.search("status of 4(22|29)", text)] == []
