"""Passwords: which are good enough, and how they are kept and compared."""

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import BoundedSemaphore
from typing import ParamSpec, TypeVar
from unicodedata import normalize

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from flask import Flask, current_app
from werkzeug.exceptions import ServiceUnavailable

from . import strength
from .models import Account, new_stamp

P = ParamSpec("P")
R = TypeVar("R")

# OWASP's Password Storage Cheat Sheet: Argon2id, 19 MiB, two passes, one thread.
hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# What a password is compared with if there is no account, so that it takes as long.
NOBODYS = hasher.hash("nobody's")
MAXIMUM = 256  # characters, so that nobody is kept busy with hashing
ADVICE = "A few words that do not belong together are easy to remember."
EASY = (
    "This password is easy to guess: it is common, follows a pattern, or is made of your address "
    "or the name of this service. Choose another one."
)
WAIT = 5  # seconds for a turn to hash


def init_app(app: Flask) -> None:
    """Give `app`, whose settings have been checked, its bound on hashes at once."""
    limit = app.config["HASHES_AT_ONCE"]
    app.extensions["accounts.hashes"] = BoundedSemaphore(limit)
    # Its threads start when they are first needed: in each process, after a fork.
    app.extensions["accounts.hashers"] = ThreadPoolExecutor(limit, "hash", lower_priority)


def lower_priority() -> None:
    """Let this thread wait for those that make pages, if the system lets a thread do so."""
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox, such as the unit's, may forbid the call
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


def gently(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What `work` gives, in a thread of low priority. The caller has a turn to hash."""
    hashers: ThreadPoolExecutor = current_app.extensions["accounts.hashers"]
    return hashers.submit(work, *args, **kwargs).result()


@contextmanager
def turn_to_hash() -> Iterator[None]:
    """Wait for one of HASHES_AT_ONCE turns in this process; after WAIT seconds raise 503.

    Each hash takes 19 MiB. Without a bound, a few dozen sign-ins at once took more memory than the
    container has, and ended it.
    """
    turns: BoundedSemaphore = current_app.extensions["accounts.hashes"]
    if not turns.acquire(timeout=WAIT):
        raise ServiceUnavailable("Many people are signing in at the moment.", retry_after=WAIT)
    try:
        yield
    finally:
        turns.release()


def normalized(password: str) -> str:
    """`password` however a keyboard composes its characters (NFKC, as NIST SP 800-63B-4 says).

    What is longer than MAXIMUM is cut, and stays too long.
    """
    return normalize("NFKC", password[: MAXIMUM + 1])


def problem(password: str, email: str) -> str:
    """Why `password` can't be that of `email`, as a sentence; "" if it can.

    There is a length and a list, and no rule on composition (NIST SP 800-63B-4, 3.1.1.2).
    """
    minimum = current_app.config["PASSWORD_MINIMUM"]
    password = normalized(password)
    if not minimum <= len(password) <= MAXIMUM:
        return f"Use {minimum} to {MAXIMUM} characters. {ADVICE}"
    if strength.is_easy_to_guess(password, context_of(email)):
        return EASY
    return ""


def context_of(email: str) -> list[str]:
    """The words that attackers try for this account. Add what else your users think of first."""
    service = current_app.config["SERVICE_NAME"]
    return [email, *re.split(r"[@.+_-]", email), service, *service.split()]


def make_hash(password: str) -> str:
    """The hash of a new password. Raises 503 if there is no turn to make it."""
    with turn_to_hash():
        return gently(hasher.hash, normalized(password))


def assign(user: Account, password_hash: str) -> None:
    """Give `user` this hash, and void every session, link and device cookie of before."""
    user.password_hash = password_hash
    user.stamp = new_stamp()


def change(user: Account, password: str) -> None:
    """Give `user` the `password`, and void every session, link and device cookie of before."""
    assign(user, make_hash(password))


def is_right(user: Account | None, password: str) -> bool:
    """Whether `password` is that of `user`; it is hashed again if that is due.

    It takes the same time if there is no user.
    """
    password = normalized(password)
    with turn_to_hash():
        try:
            gently(hasher.verify, user.password_hash if user else NOBODYS, password)
        except VerificationError:
            return False
        if user and hasher.check_needs_rehash(user.password_hash):
            user.password_hash = gently(hasher.hash, password)
    return user is not None
