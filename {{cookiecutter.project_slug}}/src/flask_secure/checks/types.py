"""The type of each setting: that of its default, the library's or Flask's."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from flask import Flask

from ..layers import APPLICATION, DEFAULTS, run_pyfile
from ..loading import Record
from ..parts import part_of, settings_left_alone
from ..problems import Problem

# A setting that has another type than its default.
TYPES: dict[str, tuple[type, ...]] = {
    "TRUSTED_HOSTS": (list, tuple, str),
    "TRUSTED_PROXIES": (int, str),
    "CONTENT_SECURITY_POLICY_REPORT_ONLY": (dict, bool),
}
# What may stand for a value of a type: seconds for a duration, text with commas for a list.
ALSO: dict[type, tuple[type, ...]] = {timedelta: (int,), list: (str, tuple)}


def problems(record: Record) -> Iterator[Problem]:
    """Settings of the wrong type. Without any, the other checks can compare values."""
    library = run_pyfile(record.config, DEFAULTS / "default.py")
    alone = settings_left_alone(record.parts)
    for name, default in {**Flask.default_config, **library}.items():
        if name in alone:
            continue
        value = record.config[name]
        types = TYPES.get(name) or types_like(default)
        if not types or fits(value, types) or (value is None and may_be_none(name)):
            continue
        names = " or ".join(each.__name__ for each in types)
        message = f"{name} is {value!r}; it must be {names}"
        yield Problem("setting-type", message, fix(record, name, default))


def fix(record: Record, name: str, default: Any) -> str:
    """What to do with a setting of the wrong type; the application may mean something else."""
    fix = record.fix(name, default)
    part = part_of(name)
    if record.origins[name] == APPLICATION and part and name not in Flask.default_config:
        meaning = f"flask_secure reads {name} for its part {part!r}; if the application means"
        return f"{fix}; {meaning} something else by it, leave that part out of init_app(parts=...)"
    return fix


def types_like(default: Any) -> tuple[type, ...]:
    """The types that fit where `default` does. None as a default says nothing."""
    if default is None:
        return ()
    return (type(default), *ALSO.get(type(default), ()))


def fits(value: Any, types: tuple[type, ...]) -> bool:
    if isinstance(value, bool):  # which is an int, but no number of bytes
        return bool in types
    return isinstance(value, types)


def may_be_none(name: str) -> bool:
    """Whether None means that there is none: of a limit, or where it is Flask's default."""
    if name.startswith("MAX_"):
        return True
    return Flask.default_config.get(name) is None
