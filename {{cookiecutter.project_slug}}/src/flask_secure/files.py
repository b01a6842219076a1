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


def unusable(id: str, path: Path, error: Exception, what: str = "") -> StartupError:
    why = getattr(error, "strerror", None) or "it is not UTF-8 text"
    return StartupError(Problem(id, f"{what}{path} can't be used: {why}", f"ls -l {quoted(path)}"))


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

    path, example = root / ".env", root / ".env.example"
    with replacing(path, like=path) as draft:
        if not path.exists():
            draft.write_text(example.read_text("utf-8") if example.is_file() else "APP_ENV=development\n", "utf-8")
        encoding = "utf-8-sig" if draft.read_bytes().startswith(BOM_UTF8) else "utf-8"
        for name, value in values.items():
            if value is not None:
                set_key(draft, name, value, quote_mode="never", encoding=encoding)
            elif name in read_dotenv(draft):
                unset_key(draft, name, encoding=encoding)


@contextmanager
def replacing(path: Path, like: Path) -> Iterator[Path]:
    """A private draft that takes the place of the file at `path` in one step, with its text; `like` has the mode."""
    place = path.resolve()  # of a symbolic link, the file
    try:
        with TemporaryDirectory(dir=place.parent, prefix=".env.") as folder:  # a name that git ignores
            draft = Path(folder, "draft")
            draft.touch(0o600)
            if like.exists():
                shutil.copymode(like, draft)
            if like.exists() and os.name == "posix":
                shutil.chown(draft, like.stat().st_uid, like.stat().st_gid)
            if is_old := place.exists():
                shutil.copyfile(place, draft)
            yield draft
            with draft.open("r+b") as file:
                os.fsync(file.fileno())
            (os.replace if is_old else os.link)(draft, place)  # a new one never over another
    except (OSError, UnicodeDecodeError) as error:
        raise unusable("file-unwritable", path, error) from None


def key_files() -> dict[str, Path]:
    """The file of each key, in the order in which they are read; none without secret files. Raises StartupError.

    It is what SECRET_KEY_FILE names, or `secret_key` where systemd or Docker mounts it; the other two are beside it.
    """
    folders = (os.environ.get("CREDENTIALS_DIRECTORY"), "/run/secrets")
    mounted = [f"{folder}/secret_key" for folder in folders if folder and os.path.exists(f"{folder}/secret_key")]
    named = [f"{name}_FILE" for name in KEY_VARIABLES if f"{name}_FILE" in os.environ]
    first = os.environ.get("SECRET_KEY_FILE", "") if named else next(iter(mounted), "")
    if named and not first:
        message = f"{named[0]} is set, and SECRET_KEY_FILE names no file"
        raise StartupError(Problem("file-name", message, f"unset {' '.join(named)}"))
    endings = {"SECRET_KEY_NEXT": "_next", "SECRET_KEY": "", "SECRET_KEY_FALLBACKS": "_fallbacks"}
    paths = {name: Path(os.environ.get(f"{name}_FILE", f"{first}{ending}")) for name, ending in endings.items()}
    return paths if first else {}


def read_secret(path: Path, name: str) -> str:
    """The text of the secret file of `name`, verbatim but for one newline at its end. Raises StartupError."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAXIMUM_SIZE:  # a fifo could take for ever
            raise OSError(0, f"it is not a regular file of at most {MAXIMUM_SIZE} bytes")
        return path.read_bytes().decode().removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise unusable("file-unreadable", path, error, f"{name}: ") from None


def write_key_files(values: Mapping[str, str | None]) -> None:
    """Put the keys in `values` into their files, each in one step, in that order. Raises StartupError."""
    files = key_files()
    for name, value in values.items():  # read the other way round, so that a reader between two steps has every key
        path, text = files[name], f"{value}\n" if value else ""
        if text.strip() != (read_secret(path, name) if path.exists() else ""):  # else it keeps its time
            with replacing(path, like=path if path.exists() else files["SECRET_KEY"]) as draft:
                draft.write_text(text)
