"""Secret settings: their `repr` is redacted, and logs hold a marker in the place of their values."""

import json
import re
from typing import Any
from urllib.parse import unquote

REDACTED = "[redacted]"

# A name is secret by one of its words: API_KEY, dbPassword, csrf-token, but not MONKEY or KEYBOARD.
WORDS = r"(?<![A-Z])(API)?(KEY|SECRET|TOKEN|PASSWORD|PASSWD|PASSPHRASE|PASS|PWD|CREDENTIAL|DSN)S?(?![A-Z])"
URL_PASSWORD = re.compile(r"(?<=://)([^\s:/?#@]*):([^\s/?#]+)@")  # up to the last @ of the authority

_markers: dict[str, str] = {}


class SecretText(str):
    def __repr__(self) -> str:
        return f"'{REDACTED}'"


class SecretURL(SecretText):
    def __repr__(self) -> str:
        return repr(URL_PASSWORD.sub(rf"\1:{REDACTED}@", str(self)))


class SecretBytes(bytes):
    __repr__ = SecretText.__repr__


def is_secret(name: object) -> bool:
    """Whether a setting called `name` is secret, by the words of its name (`apiKey` has two)."""
    return re.search(WORDS, re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name)).upper()) is not None


def protect(name: object, value: Any) -> Any:
    """`value` of the setting `name`, with what is secret in it in types that do not show it, and hidden from logs."""
    if isinstance(value, dict):
        return {key: protect(name if is_secret(name) else key, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(protect(name, item) for item in value) if type(value) in (list, tuple) else value
    if type(value) in (str, bytes) and value and is_secret(name):
        hide(value)
        return SecretText(value) if isinstance(value, str) else SecretBytes(value)
    if type(value) is str and (found := URL_PASSWORD.search(value)):
        hide(found[2])
        hide(unquote(found[2]))
        return SecretURL(value)
    return value


def hide(secret: str | bytes, marker: str = REDACTED) -> None:
    """From now on put `marker` in the place of `secret` in every logged text."""
    text = repr(bytes(secret))[2:-1] if isinstance(secret, bytes) else str(secret)
    if len(text) >= 8:  # a shorter one would be replaced in the middle of words
        _markers.update(dict.fromkeys((text, repr(text)[1:-1], json.dumps(text)[1:-1]), marker))


def redacted(text: str) -> str:
    """`text` without the secrets of this process, in linear time; of a long one, the beginning and the end."""
    for secret in sorted(_markers, key=len, reverse=True):  # one may be a part of another
        text = text.replace(secret, _markers[secret])
    return text if len(text) <= 8192 else f"{text[:4096]}... ({len(text) - 8192} characters) ...{text[-4096:]}"
