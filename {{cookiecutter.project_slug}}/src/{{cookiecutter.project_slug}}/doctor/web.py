"""What the service really answers: its headers, its cookie, and what it refuses. It is asked, not read."""

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress

from flask import Flask, session
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

from . import policy
from .finding import ERROR, WARNING, Finding

HALF_A_YEAR = 180 * 24 * 60 * 60  # seconds, what Mozilla's Observatory asks of Strict-Transport-Security

HEADERS_ARE = "  # in SECURITY_HEADERS, config/default.py"

NOWHERE = "/nobody-has-this-address"


def is_long(value: str) -> bool:
    """Whether a Strict-Transport-Security header holds for half a year at least."""
    age = re.search(r"max-age=\"?(\d+)", value)
    return age is not None and int(age[1]) >= HALF_A_YEAR


def keeps_the_origin(value: str) -> bool:
    """Whether a Referrer-Policy neither breaks the Origin check (no-referrer) nor tells other sites whole addresses."""
    return value.split(",")[-1].strip() in {"same-origin", "strict-origin", "strict-origin-when-cross-origin", "origin"}


# Each header: the finding's id, its level, what a good value is, and a good one.
HEADERS: dict[str, tuple[str, str, Callable[[str], bool], str]] = {
    "Strict-Transport-Security": ("header-hsts", ERROR, is_long, "max-age=31536000; includeSubDomains"),
    "X-Content-Type-Options": ("header-nosniff", ERROR, lambda value: value == "nosniff", "nosniff"),
    "X-Frame-Options": ("header-frame-options", WARNING, lambda value: value in ("DENY", "SAMEORIGIN"), "DENY"),
    "Referrer-Policy": ("header-referrer", ERROR, keeps_the_origin, "same-origin"),
    "Cross-Origin-Opener-Policy": ("header-coop", WARNING, lambda value: value.startswith("same-"), "same-origin"),
    "Cross-Origin-Resource-Policy": ("header-corp", WARNING, lambda value: value.startswith("same-"), "same-origin"),
    "Permissions-Policy": ("header-permissions", WARNING, lambda value: "=()" in value, "camera=(), microphone=()"),
}


def check(app: Flask) -> list[Finding]:
    """What is wrong with the answers of `app`, in each way that it can be asked."""
    env = app.config["APP_ENV"]
    host = (app.config["TRUSTED_HOSTS"] or ["localhost"])[0].removeprefix(".")
    base = f"{'http' if env == 'development' else 'https'}://{host}"
    client = app.test_client(use_cookies=False)

    def ask(path: str, method: str = "GET", host: str = base, **headers: str) -> TestResponse | None:
        # None where a page fails, whose error comes here in development. The address is one of the documentation's
        # (RFC 5737): for one of this machine the toolbar would be there.
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        with suppress(Exception):
            return client.open(
                path, method=method, base_url=host, headers=given, environ_overrides={"REMOTE_ADDR": "192.0.2.1"}
            )
        return None

    findings: list[Finding] = []
    for path in (NOWHERE, "/healthz", "/"):
        if answer := ask(path):
            findings += of_headers(answer.headers, env)
            findings += policy.check(answer.headers.get("Content-Security-Policy", ""), env)
    answer = ask(NOWHERE, "POST", Sec_Fetch_Site="cross-site")
    if answer is None or answer.status_code != 403:
        cure = "web.init_app(app)  # in create_app"
        findings.append(Finding("csrf-off", ERROR, "A page of another site can post with a visitor's cookies", cure))
    answer = ask(NOWHERE, host=f"http://{secrets.token_hex(8)}.invalid")
    if answer is None or answer.status_code != 400:
        cure = "web.init_app(app)  # in create_app, and TRUSTED_HOSTS in config/ or as a variable"
        findings.append(Finding("hosts-open", ERROR, "The service answers to any host, and puts it into links", cure))
    if env == "production" and app.debug:
        findings.append(Finding("debug", ERROR, "The service runs with app.debug on", "app.debug = False"))
    if env == "production" and app.testing:
        findings.append(Finding("testing", ERROR, "The service runs with app.testing on", "app.testing = False"))
    return findings + list(of_cookie(app, base))


def of_headers(headers: Headers, env: str) -> Iterator[Finding]:
    """Headers that are missing or say too little."""
    for name, (id, level, is_good, good) in HEADERS.items():
        is_hsts = name == "Strict-Transport-Security"
        value = headers.get(name)
        if (value is None or not is_good(value)) and not (is_hsts and env == "development"):
            says = "is not sent" if value is None else f"is {value!r}"
            own = f'STRICT_TRANSPORT_SECURITY = "{good}"  # in config/default.py'
            yield Finding(id, level, f"{name} {says}", own if is_hsts else f'"{name}": "{good}"{HEADERS_ARE}')
    if (origin := headers.get("Access-Control-Allow-Origin")) in ("*", "null"):
        problem = f"Access-Control-Allow-Origin is {origin!r}: pages of any site can read the answers"
        yield Finding(
            "header-cors", ERROR, problem, f"# no line Access-Control-Allow-Origin, or one origin{HEADERS_ARE}"
        )


def of_cookie(app: Flask, base: str) -> Iterator[Finding]:
    """Flags of the session's cookie that are missing, or with which no browser keeps it."""
    if app.config["SESSION_COOKIE_SAMESITE"] not in (None, "None", "Lax", "Strict"):
        problem = f"SESSION_COOKIE_SAMESITE is {app.config['SESSION_COOKIE_SAMESITE']!r}, and no session can be kept"
        yield Finding("cookie-samesite", ERROR, problem, 'SESSION_COOKIE_SAMESITE = "Lax"  # in config/default.py')
        return
    for setting, id in (("SESSION_COOKIE_SECURE", "cookie-secure"), ("SESSION_COOKIE_HTTPONLY", "cookie-httponly")):
        if not isinstance(app.config[setting], bool):  # "Secure=0" counts as Secure in a browser
            problem = f"{setting} is {app.config[setting]!r}, neither true nor false"
            yield Finding(id, ERROR, problem, f"{setting} = True  # in config/default.py")
    with app.test_request_context("/", base_url=base):
        response = app.response_class()
        session["doctor"] = 1
        app.session_interface.save_session(app, session, response)
    name, _, rest = response.headers.get("Set-Cookie", "").partition("=")
    flags = {word.partition("=")[0].lower(): word.partition("=")[2] for word in rest.split("; ")[1:]}
    in_production = app.config["APP_ENV"] == "production"

    def finding(id: str, problem: str, line: str, level: str = ERROR) -> Finding:
        return Finding(id, level, problem, f"{line}  # in config/default.py")

    if in_production and "secure" not in flags:
        yield finding("cookie-secure", "The session's cookie is sent over http too", "SESSION_COOKIE_SECURE = True")
    if "httponly" not in flags:
        yield finding("cookie-httponly", "Scripts can read the session's cookie", "SESSION_COOKIE_HTTPONLY = True")
    if flags.get("samesite", "").lower() not in ("lax", "strict"):
        problem = "The session's cookie goes along with requests of other sites"
        yield finding("cookie-samesite", problem, 'SESSION_COOKIE_SAMESITE = "Lax"')
    if "domain" in flags:
        problem = f"The session's cookie goes to every host below {flags['domain']}"
        yield finding("cookie-domain", problem, "SESSION_COOKIE_DOMAIN = None", WARNING)
    if in_production and not name.startswith("__Host-"):
        problem = f"A neighbouring host can plant the cookie {name}"
        yield finding("cookie-prefix", problem, f'SESSION_COOKIE_NAME = "__Host-{name}"')
    if name.startswith("__Host-") and ("secure" not in flags or "domain" in flags or flags.get("path") != "/"):
        problem = f"No browser keeps {name}: that prefix needs Secure, the path / and no domain"
        yield finding("cookie-prefix", problem, 'SESSION_COOKIE_PATH = "/"')
    if not in_production and name == "session":
        problem = "The cookie has the name of every Flask service's, and those on localhost share their cookies"
        yield finding("cookie-name", problem, f'SESSION_COOKIE_NAME = "{app.name}_session"', WARNING)
