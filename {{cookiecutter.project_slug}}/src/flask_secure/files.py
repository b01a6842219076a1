"""The project's `.env`, for development alone, and the secret files that a platform mounts."""

import os
import shutil
import stat
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from .problems import Problem, StartupError, command, quoted

KEY_VARIABLES = ("SECRET_KEY", "SECRET_KEY_NEXT", "SECRET_KEY_FALLBACKS")
MAXIMUM_SIZE = 4096  # bytes of a secret file


def unusable(id: str, path: Path, error: Exception) -> StartupError:
    why = getattr(error, "strerror", None) or "it is not UTF-8 text"
    return StartupError(Problem(id, f"{path} can't be used: {why}", f"ls -l {quoted(path)}"))


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables in the file at `path`, their values verbatim; none without the file. Raises StartupError."""
    if not path.is_file():
        return {}
    from dotenv import dotenv_values  # production, which has no .env, does not pay for the import

    try:  # utf-8-sig: a byte order mark is not a part of the first name
        values = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise unusable("env-file", path, error) from None
    return {name: value for name, value in values.items() if value is not None}


def foreign_dotenv(root: Path) -> Problem | None:
    """What to do about a `.env` of another folder, which the `flask` command reads from here."""
    folders = (Path.cwd(), *Path.cwd().parents)
    nearest = next((folder for folder in folders if (folder / ".env").is_file()), root)
    if nearest == root or os.environ.get("FLASK_SKIP_DOTENV", "").lower() in ("1", "true", "yes"):
        return None
    runs = " and whose FLASK_APP it runs" if "FLASK_APP" in read_dotenv(nearest / ".env") else ""
    message = f"The flask command reads {nearest / '.env'}, which is not this project's{runs}"
    return Problem("env-foreign", message, f"export FLASK_SKIP_DOTENV=1  # or: {command('key init')}")


def change_dotenv(root: Path, values: Mapping[str, str | None]) -> None:
    """Set `values` in `root`/.env, or remove those that are None; a new file is .env.example's. Raises StartupError."""
    from dotenv import set_key, unset_key

    path, example = (root / ".env").resolve(), root / ".env.example"
    is_new = not path.exists()
    try:
        with TemporaryDirectory(dir=path.parent, prefix=".env.") as folder:  # private, and git ignores it
            draft = Path(folder, ".env")
            if not is_new:
                shutil.copy(path, draft)  # with its mode
            else:
                draft.touch(0o600)
                draft.write_text(example.read_text("utf-8") if example.is_file() else "APP_ENV=development\n", "utf-8")
            encoding = "utf-8-sig" if draft.read_bytes().startswith(BOM_UTF8) else "utf-8"
            for name, value in values.items():
                if value is not None:
                    set_key(draft, name, value, quote_mode="never", encoding=encoding)
                elif name in read_dotenv(draft):
                    unset_key(draft, name, encoding=encoding)
            (os.link if is_new else os.replace)(draft, path)  # in one step; a new one never over another
    except (OSError, UnicodeDecodeError) as error:
        raise unusable("env-file", path, error) from None


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Keep other `flask key` commands from changing `root`/.env meanwhile. Raises StartupError where one does."""
    lock: Path | None = root / ".env.lock"
    try:
        os.close(os.open(root / ".env.lock", os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        message, fix = f"Another command is changing {root}/.env", f"rm {quoted(lock)}  # if there is none"
        raise StartupError(Problem("env-locked", message, fix)) from None
    except OSError:  # a folder that can't be written, in which nothing will be changed
        lock = None
    try:
        yield
    finally:
        if lock:
            lock.unlink(missing_ok=True)


def key_files() -> dict[str, Path]:
    """The file of each key: what SECRET_KEY_FILE etc. name, or what systemd or Docker mounts. Raises StartupError."""
    named = {name: Path(os.environ[f"{name}_FILE"]) for name in KEY_VARIABLES if f"{name}_FILE" in os.environ}
    if named and not os.environ.get("SECRET_KEY_FILE"):
        message = f"{next(iter(named))}_FILE is set, and SECRET_KEY_FILE names no file"
        raise StartupError(Problem("file-name", message, f"unset {' '.join(f'{name}_FILE' for name in named)}"))
    for folder in () if named else (os.environ.get("CREDENTIALS_DIRECTORY"), "/run/secrets"):
        if folder and os.path.exists(Path(folder, "secret_key")):  # False too where it may not be looked at
            paths = {name: Path(folder, name.lower()) for name in KEY_VARIABLES}
            return {name: path for name, path in paths.items() if os.path.exists(path)}
    return named


def read_secret(path: Path) -> str:
    """The text of a secret file, verbatim but for one newline at its end. Raises StartupError."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAXIMUM_SIZE:  # a fifo could take for ever
            raise OSError(0, f"it is not a regular file of at most {MAXIMUM_SIZE} bytes")
        return path.read_bytes().decode().removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise unusable("file-unreadable", path, error) from None
