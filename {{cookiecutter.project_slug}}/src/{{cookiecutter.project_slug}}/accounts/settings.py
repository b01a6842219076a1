"""Checks of the settings of accounts: what start-up rejects, and what only the doctor says."""

import ssl
from collections.abc import Iterator
from datetime import timedelta
from importlib.util import find_spec
from urllib.parse import SplitResult, urlsplit

from flask import Config
from limits.errors import ConfigurationError

import flask_secure
from flask_secure import Problem

from . import limits
from .service_url import service_url

ENCODE = "Percent-encode its user and password: / is %2F, ? is %3F, # is %23, @ is %40, % is %25."
DRIVERS = {"redis": "redis", "rediss": "redis", "redis+unix": "redis", "redis+sentinel": "redis"}


def unusable(config: Config) -> Iterator[Problem]:
    """The settings with which accounts can't work. No message has a part of a password."""
    yield from unusable_numbers(config)
    yield from unusable_mail_url(config)
    yield from unusable_authority(config)
    yield from unusable_service_url(config)
    yield from unusable_storage(config)


def unusable_numbers(config: Config) -> Iterator[Problem]:
    """Numbers from one up, and durations of a second or more."""
    numbers = {"HASHES_AT_ONCE": 2, "ACCOUNT_SESSIONS_MAXIMUM": 20, "PASSWORD_MINIMUM": 15}
    for name, example in numbers.items():
        value = config[name]
        if type(value) is not int or value < 1:  # True is an int, too
            message = f"{name} is {value!r}, which is no number from 1 up"
            yield Problem(problem_id(name), message, f"export FLASK_{name}={example}")
    days = {"ACCOUNT_SESSION_IDLE": 14, "ACCOUNT_SESSION_LIFETIME": 30}
    for name, example in days.items():
        value = config[name]
        is_number = type(value) is int or isinstance(value, timedelta)
        if not is_number or timedelta_of(value) < timedelta(seconds=1):
            message = f"{name} is {value!r}, which is no duration of a second or more"
            yield Problem(problem_id(name), message, f"{name} = timedelta(days={example})")


def problem_id(setting: str) -> str:
    return setting.lower().replace("_", "-")


def timedelta_of(value: timedelta | int) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=value)


def unusable_mail_url(config: Config) -> Iterator[Problem]:
    """MAIL_URL as the code that sends mail reads it."""
    text = str(config["MAIL_URL"])
    if not text:
        return
    url = parsed(text)
    if url is None or url.path not in ("", "/") or url.query or url.fragment:
        message = "MAIL_URL has a character that ends its user or password too early"
        yield Problem("mail-url", message, ENCODE)
    elif url.scheme not in ("smtp", "smtps") or not url.hostname:
        message = "MAIL_URL names no mail server"
        yield Problem("mail-url", message, "export MAIL_URL=smtp://USER:PASSWORD@HOST")


def unusable_authority(config: Config) -> Iterator[Problem]:
    """MAIL_CA_FILE as ssl reads it."""
    path = str(config["MAIL_CA_FILE"])
    if not path:
        return
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:
        message = f"MAIL_CA_FILE is {path!r}, which has no certificate: {type(error).__name__}"
        yield Problem("mail-ca-file", message, "export MAIL_CA_FILE=/path/to/authority.pem")


def unusable_service_url(config: Config) -> Iterator[Problem]:
    """SERVICE_URL, or what it is made from: links in mails lead there."""
    url = parsed(service_url(config))
    fix = "export SERVICE_URL=https://www.example.org"
    if not service_url(config):
        message = "SERVICE_URL is not set, and TRUSTED_HOSTS has not exactly one name to make it of"
        yield Problem("service-url", message, fix)
    elif url is None or url.scheme not in ("http", "https") or not url.hostname or url.query:
        yield Problem("service-url", "SERVICE_URL is not the address of a service", fix)
    elif url.scheme == "http" and flask_secure.is_strict(config):
        message = "SERVICE_URL begins with http://, so links in mails can be read on their way"
        yield Problem("service-url", message, fix)


def parsed(text: str) -> SplitResult | None:
    """`text` as a URL whose every part can be read; None if it is none."""
    try:
        url = urlsplit(text)
        port = url.port  # which is parsed when it is read
    except ValueError:
        return None
    return None if port == 0 else url


def unusable_storage(config: Config) -> Iterator[Problem]:
    """RATELIMIT_STORAGE_URI as the library that counts reads it, its driver included."""
    name = "RATELIMIT_STORAGE_URI"
    uri = str(config[name])
    scheme = uri.partition("://")[0]
    driver = DRIVERS.get(scheme)
    if driver and find_spec(driver) is None:
        message = f"{name} names a server of {driver}, whose driver is not installed"
        yield Problem("limits-driver", message, "uv sync --all-extras")
        return
    if parsed(uri) is None:
        yield Problem("limits-url", f"{name} is not a URL that can be read", ENCODE)
        return
    try:
        limits.storage_of(config)
    except ConfigurationError:
        message = f"{name} names no store of counts, or one whose driver is not installed"
        yield Problem("limits-url", message, f"export {name}=redis://localhost")
    except Exception as error:  # of the driver's parser, which may quote the URL
        message = f"{name} is rejected by its driver: {type(error).__name__}"
        yield Problem("limits-url", message, ENCODE)


def advice(config: Config) -> Iterator[Problem]:
    """What accounts start without, but should not be used without."""
    if not flask_secure.is_strict(config):
        return
    if not config["MAIL_URL"]:
        message = "MAIL_URL is not set, so nobody can make an account or choose a new password"
        yield Problem("mail-missing", message, "export MAIL_URL=smtp://USER:PASSWORD@HOST")
    if str(config["RATELIMIT_STORAGE_URI"]).startswith("memory:"):
        message = "Each process counts attempts to sign in by itself, so the limits are multiplied"
        fix = "export RATELIMIT_STORAGE_URI=redis://localhost"
        yield Problem("limits-in-memory", message, fix, "warning")
    if int(config["TRUSTED_PROXIES"] or 0) == 0:
        message = (
            "TRUSTED_PROXIES is 0: behind a reverse proxy, all visitors share one address then,"
            " and one of them can use up the limits of all"
        )
        yield Problem("limits-of-proxy", message, "export TRUSTED_PROXIES=1", "warning")
