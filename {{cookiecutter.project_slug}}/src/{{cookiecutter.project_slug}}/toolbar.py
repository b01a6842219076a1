"""Flask-DebugToolbar, for development and for this machine only."""

from ipaddress import ip_address

from flask import Flask, abort, request

from .settings import StartupError

PANELS = [
    f"flask_debugtoolbar.panels.{name}"
    for name in (
        "versions.VersionDebugPanel",
        "timer.TimerDebugPanel",
        "headers.HeaderDebugPanel",
        "request_vars.RequestVarsDebugPanel",
        "config_vars.ConfigVarsDebugPanel",
        "template.TemplateDebugPanel",
        "logger.LoggingPanel",
        "route_list.RouteListDebugPanel",
        "profiler.ProfilerDebugPanel",
        "g.GDebugPanel",
    )
]


# What a proxy or a tunnel adds: then the request comes from elsewhere, whatever its address.
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")


class ThisMachine:
    """Contains the address of a request from this machine, as DEBUG_TB_HOSTS asks with `in`."""

    def __contains__(self, address: object) -> bool:
        try:
            is_loopback = ip_address(str(address)).is_loopback
        except ValueError:
            return False
        return is_loopback and not any(header in request.headers for header in FORWARDED)

    def __repr__(self) -> str:
        return "127.0.0.0/8 and ::1, with no proxy between"


THIS_MACHINE = ThisMachine()


def init_app(app: Flask) -> None:
    """Put the toolbar into every page that is asked for from this machine.

    Raises StartupError where the development dependencies are not installed.
    """
    try:
        from flask_debugtoolbar import DebugToolbarExtension
    except ImportError:
        raise StartupError(
            "Development uses Flask-DebugToolbar, which is not installed."
            " Install the development dependencies: uv sync (with pip: pip install -e . --group dev)"
        ) from None
    app.config.setdefault("DEBUG_TB_PANELS", PANELS)
    app.config["DEBUG_TB_HOSTS"] = THIS_MACHINE
    app.before_request(hide_from_others)
    DebugToolbarExtension(app)


def hide_from_others() -> None:
    """The extension asks for the address where it shows itself, but not where it answers."""
    is_toolbar = request.path.startswith("/_debug_toolbar/")
    if is_toolbar and request.remote_addr not in THIS_MACHINE:
        abort(404)
