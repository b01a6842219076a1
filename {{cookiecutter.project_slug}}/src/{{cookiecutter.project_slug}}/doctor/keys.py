"""The keys: each against the policy, their age, the files that hold them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from flask import Flask

from ..keys import rotation, sources
from ..keys.ring import KeyRing
from ..settings import StartupError
from .finding import WARNING, Finding, refusal

MAXIMUM_AGE = timedelta(days=90)


def check(app: Flask) -> list[Finding]:
    """What is wrong with the keys that `app`, which has only its settings yet, would get."""
    env = app.config["APP_ENV"]
    if env == "testing":
        return []  # it makes its own
    try:
        sources.refuse_prefixed()
        found = sources.find(app.config)
        if found is None:
            raise sources.missing(env)
        refusals = list(sources.refusals(found, env))
        if refusals:
            return [refusal(each) for each in refusals]
        ring = sources.judge(found, env)
    except StartupError as error:
        return [refusal(error)]
    return list(ages(ring, app))


def ages(ring: KeyRing, app: Flask) -> Iterator[Finding]:
    """A key that has signed for long, and older ones that nothing needs any more."""
    now = datetime.now(UTC)
    if ring.since and now - ring.since > MAXIMUM_AGE:
        days = (now - ring.since).days
        yield Finding("key-old", WARNING, f"The key has signed for {days} days", sources.command("stage"))
    try:
        due = rotation.retirement(ring, app.permanent_session_lifetime)
    except (TypeError, OverflowError):
        return  # session-lifetime says so
    if due and due < now:
        problem = f"No session needs the older keys since {due:%Y-%m-%d}, and they still verify"
        yield Finding("key-retire", WARNING, problem, sources.command("retire"))
