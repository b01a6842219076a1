"""Accounts, attacked and used: through gunicorn with two workers, a real SMTP server, Redis and Chromium."""

import http.client
import random
import re
import secrets
import shutil
import statistics
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from flask.json.tag import TaggedJSONSerializer
from itsdangerous import URLSafeTimedSerializer
from playwright.sync_api import Browser
from servers import redis, until
from support import SLUG, Project, clean_environ, free_port, production, run, serve, take_picture

pytestmark = pytest.mark.xdist_group("accounts")

PASSWORD, OTHER = "violet tram 41 harbour", "copper 97 meadow kite"
MAILS: dict[str, list[str]] = {}


class Inbox(MessageHandler):
    """Keeps the texts of mails, by their recipients."""

    def handle_message(self, message: Message) -> None:
        assert message["From"]
        MAILS.setdefault(message["To"], []).append(str(message.get_payload(decode=True), "utf-8"))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def smtp() -> Iterator[str]:
    controller = Controller(Inbox(), hostname="127.0.0.1", port=free_port())
    controller.start()
    yield f"smtp://127.0.0.1:{controller.port}"
    controller.stop()


@contextmanager
def service(accounts: Project, folder: Path, smtp: str, **more: str) -> Iterator[str]:
    """The service in production, on SQLite, with two workers behind what counts as a reverse proxy."""
    folder.mkdir(exist_ok=True)
    shutil.copy(accounts.path / "gunicorn.conf.py", folder)
    shutil.copy(accounts.path / ".flaskenv", folder)
    port = free_port()
    base = production(DATABASE_URL=f"sqlite:///{folder}/accounts.sqlite", MAIL_URL=smtp, TRUSTED_PROXIES="1")
    env = clean_environ(**base | {"WEB_CONCURRENCY": "2"} | more)
    if "CREDENTIALS_DIRECTORY" in more:
        del env["SECRET_KEY"]
    if not Path(env["DATABASE_URL"].removeprefix("sqlite:///")).exists():
        run(accounts.program("flask"), "--app", SLUG, "db", "upgrade", cwd=folder, env=env)
    with serve([accounts.program("gunicorn"), f"--bind=127.0.0.1:{port}"], port, folder, env) as address:
        yield address


@pytest.fixture(scope="module")
def address(accounts: Project, smtp: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with service(accounts, tmp_path_factory.mktemp("accounts"), smtp) as address:
        yield address


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.text = response.status, response.headers, response.read().decode()


class Visitor:
    """A browser at an address of its own, with cookies and without JavaScript."""

    def __init__(self, service: str, ip: str = "") -> None:
        self.host = urllib.parse.urlsplit(service).netloc
        self.ip = ip or f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(256)}"  # noqa: S311
        self.cookies: dict[str, str] = {}

    def ask(self, path: str, **form: str) -> Answer:
        """GET, or POST where there is a form."""
        connection = http.client.HTTPConnection(self.host, timeout=30)
        headers = {"X-Forwarded-For": self.ip, "X-Forwarded-Proto": "https", "Accept": "text/html"}
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        body = urllib.parse.urlencode(form) if form else None
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request("POST" if form else "GET", path, body=body, headers=headers)
        answer = Answer(connection.getresponse())
        connection.close()
        for line in answer.headers.get_all("Set-Cookie") or []:
            assert all(flag in line for flag in ("Secure", "HttpOnly", "SameSite=Lax", "__Host-"))
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def sign_in(self, email: str, password: str = PASSWORD, target: str = "") -> Answer:
        return self.ask(f"/accounts/sign-in{target}", email=email, password=password)

    def is_signed_in(self) -> bool:
        return self.ask("/accounts/").status == 200

    def link(self, email: str, page: str = "sign-up") -> str:
        """The path in the mail that a page sends."""
        before = len(MAILS.get(email, []))
        assert self.ask(f"/accounts/{page}", email=email).status == 200
        until(lambda: len(MAILS.get(email, [])) > before, "no mail came")
        found = re.search(r"https://[^/]+(/\S+)", MAILS[email][-1])
        assert found is not None
        return found[1]

    def sign_up(self, email: str, password: str = PASSWORD) -> "Visitor":
        assert self.ask(self.link(email), password=password).headers["Location"] == "/accounts/"
        return self


def someone() -> str:
    return f"ann.{secrets.token_hex(4)}@example.org"


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
    (cookie,) = visitor.cookies.values()
    _, content = URLSafeTimedSerializer("", serializer=TaggedJSONSerializer()).loads_unsafe(cookie)
    number, stamp = content.pop("account")
    assert content.keys() <= {"_permanent", "_flashes"}
    assert isinstance(number, int)
    assert re.fullmatch(r"[\w-]{22}", stamp)


def test_a_change_ends_the_sessions_of_others(address: str) -> None:
    email = someone()
    one, two = Visitor(address).sign_up(email), Visitor(address)
    two.sign_in(email)
    one.ask("/accounts/", action="change", current=PASSWORD, password=OTHER)
    assert (one.is_signed_in(), two.is_signed_in()) == (True, False)
    two.sign_in(email, OTHER)
    two.ask("/accounts/", action="everywhere")
    assert (one.is_signed_in(), two.is_signed_in()) == (False, False)


# Links


def test_a_link_is_for_one_account_and_once(address: str) -> None:
    ann, bob = someone(), someone()
    Visitor(address).sign_up(ann)
    Visitor(address).sign_up(bob)
    visitor, path = Visitor(address), Visitor(address).link(ann, "reset")
    token = path.partition("token=")[2]
    for forged in (token[:-1], f"{token}x", "", "a.b.c", token.replace(".", "..", 1)):
        assert visitor.ask(f"/accounts/choose?token={forged}", password=OTHER).headers["Location"] == "/accounts/reset"
    assert visitor.ask(path, password=OTHER, email=bob, id="1", stamp="x").status == 302
    assert bob not in visitor.ask("/accounts/").text
    assert visitor.ask(path, password=OTHER).headers["Location"] == "/accounts/reset"
    assert Visitor(address).sign_in(bob, OTHER).status == 422
    assert Visitor(address).sign_in(ann, OTHER).status == 302


def test_a_link_is_void_after_a_change_and_a_sign_up_link_once_there_is_an_account(address: str) -> None:
    email = someone()
    first, second = Visitor(address).link(email), Visitor(address).link(email)
    owner = Visitor(address)
    owner.ask(first, password=PASSWORD)
    assert Visitor(address).ask(second, password=OTHER).headers["Location"] == "/accounts/reset"
    reset = Visitor(address).link(email, "reset")
    owner.ask("/accounts/", action="change", current=PASSWORD, password=OTHER)
    assert Visitor(address).ask(reset, password=PASSWORD).headers["Location"] == "/accounts/reset"
    reset = Visitor(address).link(email, "reset")
    owner.ask("/accounts/", action="delete", current=OTHER)
    assert Visitor(address).ask(reset, password=PASSWORD).headers["Location"] == "/accounts/reset"


def test_concurrent_sign_ups_of_one_address_make_one_account(address: str) -> None:
    email = someone()
    paths = [Visitor(address).link(email) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda path: Visitor(address).ask(path, password=PASSWORD), paths))
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
        "",
    ],
)
def test_what_is_no_address_gets_no_mail(address: str, email: str) -> None:
    answer = Visitor(address).ask("/accounts/sign-up", email=email, more="x")
    assert answer.status == 422
    assert 'aria-invalid="true"' in answer.text
    assert not [recipient for recipient in MAILS if not re.fullmatch(r"ann\.[0-9a-f]{8}@example\.org", recipient)]


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
    assert Visitor(address).ask(Visitor(address).link(email, "reset"), password="ab1" * 100_000).status == 422
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


# The key


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

        def everywhere(visitor: Visitor, path: str) -> list[int]:
            found = []
            for _, address in instances:
                visitor.host = urllib.parse.urlsplit(address).netloc
                found.append(visitor.ask(path).status)
            return found

        email = someone()
        visitor = Visitor(instances[0][1]).sign_up(email)
        link = Visitor(instances[0][1]).link(email, "reset")
        for step in ("stage", "promote"):
            key(step)
            for number in (0, 1):
                restart(number)
                assert everywhere(visitor, "/accounts/") == [200, 200]
                assert everywhere(Visitor(instances[0][1]), link) == [200, 200]
        newer = Visitor(instances[1][1]).link(email, "reset")  # signed with the new key
        assert everywhere(Visitor(instances[0][1]), newer) == [200, 200]
        key("revoke", "--yes")
        restart(0)
        assert everywhere(visitor, "/accounts/")[0] == 302
        assert everywhere(Visitor(instances[0][1]), newer)[0] == 302


# In a browser


def test_the_whole_walk_in_a_browser(accounts: Project, browser: Browser, tmp_path: Path) -> None:
    """By keyboard, under the policy of development, from 320 to 1280 px. Mail comes to the terminal."""
    port, log = free_port(), tmp_path / "out"
    env = clean_environ(
        DATABASE_URL=f"sqlite:///{tmp_path}/walk.sqlite", PYTHONUNBUFFERED="1", FLASK_DEBUG_TB_ENABLED="false"
    )
    accounts.run("flask", "db", "upgrade", DATABASE_URL=f"sqlite:///{tmp_path}/walk.sqlite")
    command = ["sh", "-c", f"exec {accounts.program('flask')} run --no-reload --port {port} > {log}"]
    context = browser.new_context(viewport={"width": 320, "height": 800})
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    email = someone()

    def mailed() -> str:
        until(lambda: "token=" in log.read_text(), "no mail was printed")
        return re.findall(r"http\S+token=\S+", log.read_text())[-1]

    def enter() -> None:
        with page.expect_navigation():
            page.keyboard.press("Enter")

    def picture(name: str) -> None:
        sizes: list[tuple[Any, int]] = [("dark", 320), ("light", 1280)]
        for scheme, width in sizes:
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (name, width)
            if name == "sign-in" and width == 1280:
                take_picture(page, name)

    with serve(command, port, accounts.path, env) as address:
        page.goto(f"{address}/accounts/")
        assert page.url.endswith("/accounts/sign-in?next=/accounts/?")
        picture("sign-in")
        page.click("text=Make an account")
        page.fill("#email", "no address")
        page.evaluate("document.querySelector('form').noValidate = true")
        enter()
        assert page.locator("#email").get_attribute("aria-invalid") == "true"
        assert "not an address" in page.inner_text("#email-note")
        page.fill("#email", email)
        enter()
        assert email in page.inner_text("main")
        picture("sent")
        page.goto(mailed())
        assert page.locator("#password").get_attribute("autocomplete") == "new-password"
        page.fill("#password", "passwordpassword")
        enter()
        assert "easy to guess" in page.inner_text("#password-note")
        picture("choose")
        page.fill("#password", PASSWORD)
        enter()
        assert email in page.inner_text("main")
        picture("account")
        page.click("text=Sign out >> nth=0")
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
        page.fill("#delete", PASSWORD)
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
