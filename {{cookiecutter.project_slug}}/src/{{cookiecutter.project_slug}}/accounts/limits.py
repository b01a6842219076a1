"""Limits: counted before the work, in the store that RATELIMIT_STORAGE_URI names.

While the store fails, each process counts in its own memory: what the store has counted is not
known then, so up to the limit is allowed again, for each process; and what memory has counted is
forgotten when the store is back. What was taken from a store that has failed since is not given
back.
"""

import ipaddress
import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import Any, NoReturn

from flask import Flask, current_app, request
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter
from werkzeug.exceptions import TooManyRequests

log = logging.getLogger(__name__)

# How often, and in how long a window, which begins with the first.
GUESSES_AT_ACCOUNT = parse("10 per 15 minutes")  # by strangers, all together
GUESSES_OF_DEVICE = parse("10 per 15 minutes")  # of a browser with a device cookie
GUESSES_OF_NETWORK = parse("30 per 15 minutes")  # at all accounts together
LINKS_OF_NETWORK = parse("30 per 15 minutes")  # pages that were reached by a mailed link
MAILS_TO_ADDRESS = parse("5 per hour")
MAILS_OF_NETWORK = parse("30 per hour")

PAUSE = 10  # seconds in which a store that has failed is not asked


@dataclass(frozen=True)
class Count:
    """What is counted: a limit, and by whom or what."""

    name: str
    limit: RateLimitItem
    whose: str

    @property
    def identifiers(self) -> tuple[str, str]:
        """The name in the store, which holds no address of anybody."""
        return self.name, sha256(self.whose.encode()).hexdigest()


@dataclass
class Taken:
    """One attempt of each count. On success it is given back, and nothing else is."""

    counter: FixedWindowRateLimiter
    count: Count
    window_ends: float

    def is_in_its_window(self) -> bool:
        """Whether it still counts. A store tells the time in whole seconds."""
        return abs(window_end(self.counter, self.count) - self.window_ends) <= 2

    def give_back(self) -> None:
        """Undo this one attempt, unless its window is over."""
        if self.is_in_its_window():
            self.counter.hit(self.count.limit, *self.count.identifiers, cost=-1)


class Store:
    """Where attempts are counted: the shared store, or this process's memory while that fails."""

    def __init__(self, shared: Storage) -> None:
        self.lock = Lock()
        self.shared = FixedWindowRateLimiter(shared)
        self.memory = self.shared
        if not isinstance(shared, MemoryStorage):
            self.memory = FixedWindowRateLimiter(MemoryStorage())
        self.paused_until = 0.0

    def take(self, count: Count) -> Taken | None:
        """Count one attempt; None if there are none left, and then it counts for nothing."""
        if self.shared is not self.memory and self.may_ask():
            try:
                taken = take_from(self.shared, count)
            except StorageError as error:
                self.pause(error)
            else:
                self.paused_until = 0.0
                return taken
        with self.lock:  # which the memory of `limits` does not have for a new count
            return take_from(self.memory, count)

    def give_back(self, taken: Taken) -> None:
        """Undo one attempt where it was counted, if that can be asked."""
        if taken.counter is self.memory:
            with self.lock:
                taken.give_back()
        elif not self.is_paused():
            try:
                taken.give_back()
            except StorageError as error:
                self.pause(error)

    def may_ask(self) -> bool:
        """Whether to ask the shared store. After a pause one request tries, others do not wait."""
        with self.lock:
            now = time.monotonic()
            if now < self.paused_until:
                return False
            if self.paused_until:
                self.paused_until = now + PAUSE
            return True

    def is_paused(self) -> bool:
        return time.monotonic() < self.paused_until

    def pause(self, error: Exception) -> None:
        """Leave the shared store alone for a while."""
        self.paused_until = time.monotonic() + PAUSE
        log.error(
            "limits are counted in memory for %d seconds: the store has failed, %s",
            PAUSE,
            type(error.__cause__ or error).__name__,
        )


def init_app(app: Flask) -> None:
    """Give `app`, whose settings have been checked, its store of counts."""
    app.extensions["accounts.limits"] = Store(storage_of(app.config))


def storage_of(config: Any) -> Storage:
    """The storage that RATELIMIT_STORAGE_URI names. It connects when it is first asked.

    Raises limits.errors.ConfigurationError, or ValueError for what is no URL.
    """
    uri = str(config["RATELIMIT_STORAGE_URI"])
    options = dict(config["RATELIMIT_STORAGE_OPTIONS"])
    if uri.startswith("redis"):
        options |= without_retries()
    storage = storage_from_string(uri, wrap_exceptions=True, **options)
    if not isinstance(storage, Storage):
        raise ValueError("RATELIMIT_STORAGE_URI names a storage of asyncio")
    return storage


def without_retries() -> dict[str, Any]:
    """The option of the Redis driver that lets a request wait for one timeout, not for four."""
    try:
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:  # storage_from_string says so
        return {}
    return {"retry": Retry(NoBackoff(), 0)}


def store() -> Store:
    found: Store = current_app.extensions["accounts.limits"]
    return found


def take_from(counter: FixedWindowRateLimiter, count: Count) -> Taken | None:
    """Count one attempt in `counter`; None if there are none left."""
    is_within = counter.hit(count.limit, *count.identifiers)
    if not is_within:
        counter.hit(count.limit, *count.identifiers, cost=-1)
        return None
    return Taken(counter, count, window_end(counter, count))


def window_end(counter: FixedWindowRateLimiter, count: Count) -> float:
    """When the window of `count` ends, in seconds since 1970."""
    return float(counter.get_window_stats(count.limit, *count.identifiers).reset_time)


@contextmanager
def attempt(*counts: Count) -> Iterator[list[Taken]]:
    """Count an attempt in each of `counts` before the block, which does the work.

    Raises 429 if one has none left, and counts it in none then. A block that raises, such as 503
    because there was no turn to hash, has tried nothing: what it took is given back.
    """
    taken: list[Taken] = []
    try:
        for count in counts:
            one = store().take(count)
            if one is None:
                reject(count)
            taken.append(one)
        yield taken
    except Exception:
        give_back(taken)
        raise


def give_back(taken: list[Taken]) -> None:
    """Undo an attempt that was no failure, so that the successes of an office do not add up."""
    for one in taken:
        store().give_back(one)


def reject(count: Count) -> NoReturn:
    """Raise 429, which says how long to wait, in whole minutes."""
    try:
        end = window_end(store().memory if store().is_paused() else store().shared, count)
    except StorageError:
        end = time.time() + count.limit.get_expiry()
    minutes = max(1, math.ceil((end - time.time()) / 60))
    unit = "minute" if minutes == 1 else "minutes"
    message = f"Too many attempts. Wait {minutes} {unit}, then try again."
    raise TooManyRequests(message, retry_after=minutes * 60)


def network() -> str:
    """The network that the request comes from: of IPv6 a /64, of which each visitor has one."""
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
