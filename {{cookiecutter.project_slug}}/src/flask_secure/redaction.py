"""Secret settings: their `repr` is redacted, and logs hold a marker instead of their values."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

REDACTED = "[redacted]"
SHORTEST = 8  # characters; a shorter secret would be replaced in the middle of words
LONGEST_TEXT = 8192  # characters of a log line's text; of a longer one, both ends are kept

# A name is secret by one of its words: API_KEY, dbPassword, csrf-token, but not MONKEY or KEYBOARD.
WORDS = "KEY|SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|PASS|PWD|CREDENTIAL|DSN"
SECRET_NAME = re.compile(rf"(?<![A-Z])(API)?({WORDS})S?(?![A-Z])")

# The name says what the value is, and not only what it is about: DB_PASSWORD, API_KEYS, KEY_2.
SECRET_LAST = re.compile(rf"(?<![A-Z])(API)?({WORDS})S?[^A-Z]*$")
# What names, paths and addresses without a password look like: "query_string", "/reset/done".
PLAIN = re.compile(r"[a-z]{1,15}([ ._/-][a-z]{1,15})*")
SCHEME = re.compile("^https?://")
MOST_WORDS, MOST_WORDS_OF_A_PATH = 3, 6  # a passphrase has more

URL_USER = re.compile(r"(?<=://)([^\s:/?#@]+)@")  # of a DSN, the user is the key
URL_PARAMETER = re.compile(r"([?&])([^=&#\s]+)=([^&#\s]+)")
BEFORE_PASSWORD = re.compile(r"://[^\s:/@]*:")

_markers: dict[str, str] = {}


class SecretText(str):
    """Text that its `repr` does not show."""

    def __repr__(self) -> str:
        return f"'{REDACTED}'"


class SecretURL(SecretText):
    """A URL whose `repr` shows all but its password."""

    def __repr__(self) -> str:
        text = str(self)
        place = password_place(text)
        if place:
            text = f"{text[: place.start]}{REDACTED}{text[place.stop :]}"
        return repr(URL_PARAMETER.sub(without_secret, text))


class SecretBytes(bytes):
    """Bytes that their `repr` does not show."""

    def __repr__(self) -> str:
        return f"'{REDACTED}'"

    def __str__(self) -> str:
        return repr(self)


def is_secret(name: object) -> bool:
    """Whether a setting called `name` is secret, by the words of its name (`apiKey` has two)."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name)).upper()
    return SECRET_NAME.search(words) is not None


def is_worth_hiding(name: object, value: str | bytes) -> bool:
    """Whether `value` of the setting `name` is a secret, by the name and by its worth.

    DB_PASSWORD is one whatever it is. PASSWORD_RESET_URL only speaks of one: "/reset" is none, and
    hiding it would take the word out of every line of the log.
    """
    if not is_secret(name):
        return False
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name)).upper()
    if SECRET_LAST.search(words) or isinstance(value, bytes):
        return True
    text = SCHEME.sub("", value)
    most = MOST_WORDS_OF_A_PATH if "/" in value else MOST_WORDS
    return not PLAIN.fullmatch(text.strip("/")) or len(re.split("[^a-z]+", text.strip("/"))) > most


def protect(name: object, value: Any) -> Any:
    """`value` of the setting `name`, its secrets in types that hide them, and out of the logs."""
    if type(value) is dict:
        return protect_items(name, value)
    if type(value) in (list, tuple):
        return type(value)(protect(name, item) for item in value)
    if type(value) in (str, bytes) and value:
        return protect_text(name, value)
    return value


def protect_text(name: object, value: str | bytes) -> str | bytes:
    """Text or bytes by the name of the setting, or as a URL."""
    if is_worth_hiding(name, value):
        for secret in secrets_in(name, value):
            hide(secret)
        return SecretText(value) if isinstance(value, str) else SecretBytes(value)
    if isinstance(value, str):
        return protect_broken_url(value) if is_broken_url(name, value) else protect_url(value)
    return value


def is_broken_url(name: object, value: str) -> bool:
    """Whether `value` of a setting such as DATABASE_URL may hold a password that no parser finds.

    Its owner meant a URL: the scheme is missing, or the user has a character that ends it.
    """
    if not str(name).upper().endswith(("URL", "URI")) or password_place(value):
        return False
    before_host = value.rpartition("@")[0]
    return ":" in before_host.replace("://", "", 1)


def protect_broken_url(value: str) -> SecretText:
    """`value` in a type that shows nothing of it, since nobody knows where its password is."""
    hide(value)
    return SecretText(value)


def protect_items(name: object, value: dict[Any, Any]) -> dict[Any, Any]:
    """The items of a dict: all of them if its own name is secret, else each by its name."""
    whole = is_secret(name)
    return {key: protect(name if whole else key, item) for key, item in value.items()}


def protect_url(value: str) -> str:
    """`value` in a type that does not show the password of the URL, if it is one that has one."""
    passwords = list(url_passwords(value))
    for password in passwords:
        hide(password)
    return SecretURL(value) if passwords else value


def secrets_in(name: object, value: str | bytes) -> Iterator[str | bytes]:
    """What is secret in a setting: all of it by its name, and a password in a URL."""
    if is_worth_hiding(name, value):
        yield value
        if isinstance(value, str) and (user := URL_USER.search(value)):
            yield user[1]
    if isinstance(value, str):
        yield from url_passwords(value)


def url_passwords(url: str) -> Iterator[str]:
    """The passwords in `url`, verbatim and decoded: before the host, and in secret parameters.

    Programs differ in which @ ends a password that has one: SQLAlchemy takes the first.
    """
    place = password_place(url)
    if place:
        password = url[place.start : place.stop]
        for text in dict.fromkeys((password, password.partition("@")[0])):
            yield text
            yield unquote(text)
    for found in URL_PARAMETER.finditer(url):
        if "://" in url and is_secret(found[2]):
            yield found[3]
            yield unquote(found[3])


def password_place(url: str) -> slice | None:
    """Where the password stands in `url`; None if there is none.

    It ends at the last @ before the path (RFC 3986, 3.2). If it has a / ? or # itself, that is an
    error to some programs, but not to SQLAlchemy: then it ends at the first @ of all.
    """
    found = BEFORE_PASSWORD.search(url)
    if found is None:
        return None
    start = found.end()
    authority = re.split("[/?#]", url[start:])[0]
    stop = url.rfind("@", start, start + len(authority))
    if stop < 0:
        stop = url.find("@", start)
    return slice(start, stop) if stop > start else None


def without_secret(parameter: re.Match[str]) -> str:
    value = REDACTED if is_secret(parameter[2]) else parameter[3]
    return f"{parameter[1]}{parameter[2]}={value}"


def secrets_of(variables: Mapping[str, str]) -> list[str]:
    """What is secret in `variables`, such as those of .env, by the words that logs go by."""
    found: list[str] = []
    for name, value in variables.items():
        for secret in secrets_in(name, value):
            found.append(str(secret))
            found.extend(part.strip() for part in str(secret).split(","))
    return list(dict.fromkeys(found))


def hide(secret: str | bytes, marker: str = REDACTED) -> None:
    """From now on put `marker` in the place of `secret` in every logged text."""
    text = repr(bytes(secret))[2:-1] if isinstance(secret, bytes) else str(secret)
    if len(text) < SHORTEST:
        return
    for form in (text, repr(text)[1:-1], json.dumps(text)[1:-1]):
        _markers[form] = marker


def replace_secrets(text: str) -> str:
    """`text` with a marker in the place of each secret of this process, in linear time."""
    for secret in sorted(_markers, key=len, reverse=True):  # one may be a part of another
        text = text.replace(secret, _markers[secret])
    return text


def redacted(text: str) -> str:
    """`text` without the secrets of this process; of a long one, both ends."""
    text = replace_secrets(text)
    if len(text) <= LONGEST_TEXT:
        return text
    half = LONGEST_TEXT // 2
    return f"{text[:half]}... ({len(text) - LONGEST_TEXT} characters) ...{text[-half:]}"
