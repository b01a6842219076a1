"""Passwords: which are good enough, and how they are kept and compared."""

from unicodedata import normalize

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from flask import current_app
from zxcvbn import zxcvbn  # type: ignore[import-untyped]

from .models import Account, new_stamp

# OWASP's Password Storage Cheat Sheet: Argon2id, 19 MiB, two passes, one thread.
hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
NOBODYS = hasher.hash("nobody's")  # compared with where there is no account, so that it takes as long
MAXIMUM = 256  # characters, so that nobody is kept busy with hashing


def problem(password: str, email: str) -> str:
    """Why `password` can't be that of `email`, as a sentence; "" when it can (NIST SP 800-63B-4: no composition)."""
    minimum = current_app.config["PASSWORD_MINIMUM"]
    if not minimum <= len(password) <= MAXIMUM:
        return f"Use {minimum} to {MAXIMUM} characters. A few words that do not belong together are easy to remember."
    if zxcvbn(password[:72], user_inputs=[email, *email.split("@"), current_app.config["SERVICE_NAME"]])["score"] < 3:
        return "This password is easy to guess: it is common, or follows a pattern. Take another one."
    return ""


def change(user: Account, password: str) -> None:
    """Give `user` the `password`, and end every session and link of before."""
    user.password_hash, user.stamp = hasher.hash(normalize("NFKC", password)), new_stamp()


def is_right(user: Account | None, password: str) -> bool:
    """Whether `password` is that of `user`, in the same time where there is none; it is hashed anew when due."""
    password = normalize("NFKC", password[: MAXIMUM + 1])  # however a keyboard composes characters (NIST)
    try:
        hasher.verify(user.password_hash if user else NOBODYS, password)
    except VerificationError:
        return False
    if user and hasher.check_needs_rehash(user.password_hash):
        user.password_hash = hasher.hash(password)
    return user is not None
