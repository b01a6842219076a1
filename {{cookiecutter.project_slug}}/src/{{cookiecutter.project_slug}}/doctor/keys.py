"""The keys: each against the policy, their age, the files that hold them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from flask import Flask

from ..keys import rotation, sources
from ..settings import StartupError
from .finding import WARNING, Finding, refusal

MAXIMUM_AGE = timedelta(days=90)


def check(app: Flask) -> list[Finding]:
    """Everything that is wrong with the keys that `app`, which has only its settings, would get."""
    env = app.config["APP_ENV"]
    try:
        sources.refuse_prefixed()
        found = sources.find(app.config)
    except StartupError as error:
        return [refusal(error)]
    return [refusal(error) for error in (sources.refusals(found, env) if found else [sources.missing(env)])]


def ages(started: Flask) -> Iterator[Finding]:
    """A key of the service that has signed for long, and older ones that nothing needs any more."""
    ring, now = sources.loaded(started).ring, datetime.now(UTC)
    if ring.since and now - ring.since > MAXIMUM_AGE:
        days = (now - ring.since).days
        yield Finding("key-old", WARNING, f"The key has signed for {days} days", sources.command("stage"))
    try:
        due = rotation.retirement(ring, started.permanent_session_lifetime)
    except (TypeError, OverflowError):
        return  # session-lifetime says so
    if due and due < now:
        problem = f"No session needs the older keys since {due:%Y-%m-%d}, and they still verify"
        yield Finding("key-retire", WARNING, problem, sources.command("retire"))
