"""Checks of what single views change, which only an application whose code has run knows."""

from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from typing import Any

from flask import Flask

from ..loading import Record
from ..policies import ENFORCED, REPORT_ONLY
from ..routes import ATTRIBUTE, WRAPPED
from ..sent import Change, PolicyChange, of_config
from . import REGISTERED, Wrong, check

# A widget that others embed leaves it out; frame-ancestors says who may.
MEANT = "header-frame-options"


@check("route-override")
def route_override(record: Record) -> Iterator[Wrong]:
    """A view's csp_override or header_override turns off a defense. Only `--load` finds it."""
    app = record.loaded_app
    if app is None:
        return
    for name, changes in overrides(app).items():
        for message in what_is_wrong(record, changes):
            yield Wrong(f"{name}: {message}", f"Change the override of {name}.")


@check("route-order")
def route_order(record: Record) -> Iterator[Wrong]:
    """An override above the route has no effect: the route serves the view beneath it."""
    views = record.loaded_app.view_functions if record.loaded_app else {}
    for endpoint, view in views.items():
        if hasattr(view, WRAPPED):
            message = f"An override of {endpoint} stands above its route, and has no effect"
            yield Wrong(message, "Write it between the route and the view.")


def overrides(app: Flask) -> dict[str, list[Change]]:
    """The changes of each view and blueprint that has some, by its name."""
    found: dict[str, Any] = {}
    for name, blueprint in app.blueprints.items():
        found[f"the blueprint {name}"] = getattr(blueprint, ATTRIBUTE, [])
    for endpoint, view in app.view_functions.items():
        found[f"the view {endpoint}"] = getattr(view, ATTRIBUTE, [])
    return {name: changes for name, changes in found.items() if changes}


def what_is_wrong(record: Record, changes: list[Change]) -> list[str]:
    """What the changes bring that is not wrong everywhere."""
    if any(isinstance(each, PolicyChange) and each.report_only for each in changes):
        return ["its policy is only tried, and protects nobody"]
    known = list(messages(record, []))
    return [message for message in messages(record, changes) if message not in known]


def messages(record: Record, changes: list[Change]) -> Iterator[str]:
    """What the checks of headers and policies say of the settings with these changes."""
    sent = of_config(record.config).changed(changes)
    config = copy(record.config)
    config["SECURITY_HEADERS"] = dict(sent.by_name.values())
    config["STRICT_TRANSPORT_SECURITY"] = ""
    for setting in (ENFORCED, REPORT_ONLY):
        config[setting] = dict(sent.by_setting[setting].directives)
    changed = replace(record, config=config)
    for each in REGISTERED:
        is_meant = each.id == MEANT or (record.environment.is_local and not each.is_local)
        if each.id.startswith(("csp-", "header-")) and not is_meant:
            for wrong in each.rule(changed):
                yield f"{wrong.message} ({each.id})"
