"""Checks of hosts, proxies and origins."""

from collections.abc import Iterator

from ..hosts import as_sent, mistake_in_host, mistake_in_origin
from ..lists import names_in, split_list
from ..loading import Record
from ..sent import NAME as TOKEN
from . import Wrong, check

EXAMPLE = "www.example.org"
MOST_PROXIES = 99


@check("hosts-missing", at_startup=True, is_local=False)
def hosts_missing(record: Record) -> Iterator[Wrong]:
    """A forged Host header gets into links, such as those that reset a password."""
    if record.environment.is_strict and not names_in(record.config["TRUSTED_HOSTS"]):
        name = record.environment.name
        message = f"TRUSTED_HOSTS is not set, and {name} answers only to the names in it"
        yield Wrong(message, f"export TRUSTED_HOSTS={EXAMPLE}")


@check("hosts-format", at_startup=True)
def hosts_format(record: Record) -> Iterator[Wrong]:
    """A name that no request has rejects everyone; a wildcard accepts every forged Host header."""
    hosts = names_in(record.config["TRUSTED_HOSTS"])
    mistakes = {host: mistake_in_host(host) for host in hosts}
    good = [as_sent(host) if mistakes[host] else host for host in hosts]
    good = [host for host in good if host]
    for host, mistake in mistakes.items():
        if mistake:
            message = f"{host!r} in TRUSTED_HOSTS: {mistake}"
            yield Wrong(message, record.fix_list("TRUSTED_HOSTS", good, EXAMPLE))


@check("proxies-format", at_startup=True)
def proxies_format(record: Record) -> Iterator[Wrong]:
    """A count of proxies that is too high lets a client forge its address."""
    value = record.config["TRUSTED_PROXIES"]
    text = str(value or 0).strip()
    if not text.isdecimal() or not text.isascii() or int(text) > MOST_PROXIES:
        message = f"TRUSTED_PROXIES is {value!r}; it is the number of reverse proxies in front"
        yield Wrong(message, record.fix("TRUSTED_PROXIES", 1))


# Browsers send these by themselves, with a form of another site too.
SENT_BY_BROWSERS = ("basic", "digest", "negotiate", "ntlm")


@check("csrf-schemes", at_startup=True)
def csrf_schemes(record: Record) -> Iterator[Wrong]:
    """With such a scheme, browsers add the credentials to requests from other sites' forms."""
    setting = "CSRF_AUTHORIZATION_SCHEMES"
    schemes = names_in(record.config[setting])
    good = [scheme for scheme in schemes if is_own_scheme(scheme)]
    for scheme in schemes:
        if scheme not in good:
            message = (
                f"{scheme!r} in {setting} is not a scheme that only an application's code sends"
            )
            yield Wrong(message, record.fix_list(setting, good, "Bearer"))


def is_own_scheme(scheme: str) -> bool:
    return TOKEN.fullmatch(scheme) is not None and scheme.lower() not in SENT_BY_BROWSERS


@check("csrf-origins", at_startup=True)
def csrf_origins(record: Record) -> Iterator[Wrong]:
    """An untrusted site could act for the visitor, or a trusted site could not."""
    origins = split_list(record.config["CSRF_TRUSTED_ORIGINS"])
    good = [origin for origin in origins if not mistake_in_origin(origin)]
    for origin in origins:
        mistake = mistake_in_origin(origin)
        if mistake:
            message = f"{origin!r} in CSRF_TRUSTED_ORIGINS: {mistake}"
            fix = record.fix_list("CSRF_TRUSTED_ORIGINS", good, "https://app.example.org")
            yield Wrong(message, fix)
