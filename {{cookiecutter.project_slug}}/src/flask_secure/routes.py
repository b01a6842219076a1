"""One view or blueprint differs: other sources, a directive less, another header.

    @bp.get("/pay")
    @flask_secure.csp_override(add={"form-action": ["https://pay.example.org"]})
    @flask_secure.header_override("Cross-Origin-Opener-Policy", "same-origin-allow-popups")
    def pay(): ...

Only responses of these views cost more. A response without its view, such as a rejected request,
has the application's own headers.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from inspect import isclass
from typing import Any, TypeVar

from flask import Blueprint, current_app, request

from .policies import HEADERS
from .policy import mistake
from .sent import Change, HeaderChange, PolicyChange, is_header

# In a WSGI environment: the changes for this response. On a view or a blueprint: its own.
OVERRIDES = "flask_secure.overrides"
ATTRIBUTE = "flask_secure_overrides"
WRAPPED = "flask_secure_wrapped"

Target = TypeVar("Target", bound=Callable[..., Any] | Blueprint)


def csp_override(
    add: Mapping[str, Iterable[str]] | None = None,
    remove: Iterable[str] = (),
    report_only: bool = False,
) -> Callable[[Target], Target]:
    """Change the Content-Security-Policy for a view or a blueprint.

    `remove` names directives that go, `add` holds sources by directive that come to those that are
    there; with `report_only` the result blocks nothing and is only tried. The policy that the
    application only tries is changed in the same way. Raises ValueError for what is not a source.
    """
    added = {name: as_list(sources) for name, sources in (add or {}).items()}
    removed = as_list(remove)
    found = mistake({**{name: [] for name in removed}, **added})
    if found:
        raise ValueError(f"csp_override: {found}")
    lower = {name.lower(): sources for name, sources in added.items()}
    names = tuple(name.lower() for name in removed)
    return partial(change, PolicyChange(lower, names, report_only))


def header_override(name: str, value: str | None) -> Callable[[Target], Target]:
    """Send the header `name` with another value, or, with None, without it.

    Raises ValueError for what is not a header, and for a policy, which csp_override changes.
    """
    if not is_header(name, "" if value is None else value):
        raise ValueError(f"header_override: {name!r}: {value!r} is not a header")
    if name.lower() in [policy.lower() for policy in HEADERS.values()]:
        raise ValueError(f"header_override: csp_override changes {name}")
    return partial(change, HeaderChange(name, value))


def as_list(names: Iterable[str]) -> list[str]:
    """`names` as a list. Text is one name or source, and no list of its letters."""
    if isinstance(names, str):
        raise ValueError(f"csp_override: {names!r} is not a list")
    return list(names)


def change(changed: Change, target: Target) -> Target:
    """`target` with a change for its responses."""
    if isclass(target):
        name = target.__name__
        raise TypeError(f"Write into the class {name} instead: decorators = [...], the override")
    own = [*getattr(target, ATTRIBUTE, []), changed]
    if isinstance(target, Blueprint):
        target.before_request(partial(mark, changed))
        setattr(target, ATTRIBUTE, own)
        return target
    view: Target = marked(changed, target)
    setattr(view, ATTRIBUTE, own)
    setattr(target, WRAPPED, True)  # if it is a route itself, the override stands above the route
    return view


def marked(changed: Change, view: Any) -> Any:
    """A view like `view`, whose responses have the change."""

    @wraps(view)
    def changing(*arguments: Any, **named: Any) -> Any:
        mark(changed)
        return current_app.ensure_sync(view)(*arguments, **named)

    return changing


def mark(changed: Change) -> None:
    """Let the response to this request have the change."""
    request.environ.setdefault(OVERRIDES, []).append(changed)
