"""Checks of the session cookie (RFC 6265bis)."""

import re
from collections.abc import Iterator

from ..loading import Record
from . import Wrong, check

TOKEN = re.compile(r"[\w!#$%&*+.^`|~-]+", re.ASCII)
PATH = re.compile("/[!-:<-~]*")  # what follows a semicolon would be another attribute

HOST_PREFIX = "__Host-"
PREFIXES = (HOST_PREFIX, "__Secure-")


@check("cookie-name", at_startup=True)
def cookie_name(record: Record) -> Iterator[Wrong]:
    """No browser keeps a cookie with such a name, so nobody could sign in."""
    name = record.config["SESSION_COOKIE_NAME"]
    if not TOKEN.fullmatch(name):
        message = f"SESSION_COOKIE_NAME is {name!r}, which no cookie can be called"
        yield Wrong(message, record.fix("SESSION_COOKIE_NAME", f"{HOST_PREFIX}session"))


@check("cookie-path", at_startup=True)
def cookie_path(record: Record) -> Iterator[Wrong]:
    """Browsers would read the rest of the path, after a semicolon, as another attribute."""
    path = record.config["SESSION_COOKIE_PATH"]
    if not PATH.fullmatch(path or "/"):
        message = f"SESSION_COOKIE_PATH is {path!r}, which no cookie can have as its path"
        yield Wrong(message, record.fix("SESSION_COOKIE_PATH", "/"))


@check("cookie-samesite", at_startup=True)
def cookie_samesite_format(record: Record) -> Iterator[Wrong]:
    """With this value, Flask raises an exception whenever it writes a session."""
    value = record.config["SESSION_COOKIE_SAMESITE"]
    if value not in ("Lax", "Strict", "None", None):
        message = f"SESSION_COOKIE_SAMESITE is {value!r}, neither Lax nor Strict"
        yield Wrong(message, record.fix("SESSION_COOKIE_SAMESITE", "Lax"))


@check("cookie-samesite")
def cookie_samesite(record: Record) -> Iterator[Wrong]:
    """With None, browsers send the visitor's session with cross-site requests."""
    value = record.config["SESSION_COOKIE_SAMESITE"]
    if value in ("None", None):
        message = f"SESSION_COOKIE_SAMESITE is {value}, so cross-site requests carry the session"
        yield Wrong(message, record.fix("SESSION_COOKIE_SAMESITE", "Lax"))


@check("cookie-httponly")
def cookie_httponly(record: Record) -> Iterator[Wrong]:
    """An injected script reads the session and sends it elsewhere."""
    if not record.config["SESSION_COOKIE_HTTPONLY"]:
        message = "SESSION_COOKIE_HTTPONLY is False, so scripts can read the session cookie"
        yield Wrong(message, record.fix("SESSION_COOKIE_HTTPONLY", True))


@check("cookie-secure", is_local=False)
def cookie_secure(record: Record) -> Iterator[Wrong]:
    """Over plain http, anyone on the network reads the session."""
    if not record.config["SESSION_COOKIE_SECURE"]:
        message = "SESSION_COOKIE_SECURE is False, so the session is sent over plain http too"
        yield Wrong(message, record.fix("SESSION_COOKIE_SECURE", True))


@check("cookie-prefix")
def cookie_prefix(record: Record) -> Iterator[Wrong]:
    """Without the prefix, a sub-domain or a page over plain http can set the session cookie."""
    config = record.config
    name, path = config["SESSION_COOKIE_NAME"], config["SESSION_COOKIE_PATH"]
    if name.startswith("__Secure-") and path == config["APPLICATION_ROOT"] != "/":
        return  # an application under a prefix, which can't have __Host-
    has_prefix = has_host_prefix(record)
    if not has_prefix and not record.environment.is_local:
        bare = name.removeprefix("__Secure-")
        message = f"SESSION_COOKIE_NAME is {name}, without the prefix {HOST_PREFIX}"
        yield Wrong(
            f"{message}, so a sub-domain can set the session",
            record.fix("SESSION_COOKIE_NAME", f"{HOST_PREFIX}{bare}"),
        )
    if path != "/" and (has_prefix or not record.environment.is_local):
        message = (
            f"SESSION_COOKIE_PATH is {path!r}; browsers keep a {HOST_PREFIX} cookie only for /"
        )
        yield Wrong(message, record.fix("SESSION_COOKIE_PATH", "/"))


@check("cookie-dropped")
def cookie_dropped(record: Record) -> Iterator[Wrong]:
    """Browsers drop the cookie, so nobody stays signed in (RFC 6265bis, 4.1.3 and 5.6)."""
    config = record.config
    if config["SESSION_COOKIE_SECURE"] or not record.environment.is_local:
        return  # elsewhere cookie-secure says so
    name = config["SESSION_COOKIE_NAME"]
    if name.lower().startswith(tuple(prefix.lower() for prefix in PREFIXES)):
        message = f"SESSION_COOKIE_NAME is {name}; browsers keep that prefix only with Secure"
        yield Wrong(message, record.fix("SESSION_COOKIE_NAME", "session"))
    if config["SESSION_COOKIE_SAMESITE"] == "None":
        message = "SESSION_COOKIE_SAMESITE is None; browsers keep such a cookie only with Secure"
        yield Wrong(message, record.fix("SESSION_COOKIE_SAMESITE", "Lax"))


@check("cookie-domain")
def cookie_domain_of_a_host_cookie(record: Record) -> Iterator[Wrong]:
    """Browsers drop a __Host- cookie that has a domain, so nobody stays signed in."""
    domain = record.config["SESSION_COOKIE_DOMAIN"]
    if domain and has_host_prefix(record):
        name = record.config["SESSION_COOKIE_NAME"]
        message = f"SESSION_COOKIE_DOMAIN is {domain}; browsers drop {name} if it has a domain"
        yield Wrong(message, record.fix("SESSION_COOKIE_DOMAIN", ""))


@check("cookie-domain", level="warning")
def cookie_domain(record: Record) -> Iterator[Wrong]:
    """Every sub-domain gets the session."""
    domain = record.config["SESSION_COOKIE_DOMAIN"]
    if domain and not has_host_prefix(record):
        message = f"SESSION_COOKIE_DOMAIN is {domain}, so every host below it gets the session"
        yield Wrong(message, record.fix("SESSION_COOKIE_DOMAIN", ""))


def has_host_prefix(record: Record) -> bool:
    return str(record.config["SESSION_COOKIE_NAME"]).lower().startswith(HOST_PREFIX.lower())
