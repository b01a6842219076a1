"""Gives the new project its own key, in a file that git ignores, and says what to do next.

cookiecutter removes a new project whose hook fails. So this hook fails only if the key can't be
written, or if git would commit it. A failure to print, or to ask git, does not count.
"""

import contextlib
import os
import secrets
import shlex
import subprocess
import sys

# cruft generates into a temporary folder and moves the project afterwards.
UNDER_CRUFT = "{{ cookiecutter._output_dir is undefined }}" == "True"
SLUG = "{{ cookiecutter.project_slug }}"
CODE_HOST = "{{ cookiecutter.code_host }}"
ANSWERS = [CODE_HOST, "{{ cookiecutter.data }}"]
if "accounts" in ANSWERS:
    ANSWERS.append("database")

# The files that only one answer needs.
FILES_OF = {
    "github": [
        ".github/dependabot.yml",
        ".github/workflows/ci.yml",
        ".github/workflows/template.yml",
    ],
    "gitlab": [
        ".gitlab-ci.yml",
    ],
    "database": [
        "docs/database.md",
        "docs/uploads.md",
        "tests/database_fixtures.py",
        "tests/test_database.py",
        "tests/test_migrations.py",
        f"src/{SLUG}/data.py",
        f"src/{SLUG}/database.py",
        f"src/{SLUG}/database_url.py",
        f"src/{SLUG}/migrate.py",
        f"src/{SLUG}/migrations/0001_start.py",
        f"src/{SLUG}/migrations/script.py.mako",
    ],
    "accounts": [
        "docs/accounts.md",
        "tests/accounts_fixtures.py",
        "tests/test_accounts.py",
        f"src/{SLUG}/accounts/__init__.py",
        f"src/{SLUG}/accounts/addresses.py",
        f"src/{SLUG}/accounts/browsers.py",
        f"src/{SLUG}/accounts/commands.py",
        f"src/{SLUG}/accounts/devices.py",
        f"src/{SLUG}/accounts/forms.py",
        f"src/{SLUG}/accounts/guesses.py",
        f"src/{SLUG}/accounts/letters.py",
        f"src/{SLUG}/accounts/limits.py",
        f"src/{SLUG}/accounts/links.py",
        f"src/{SLUG}/accounts/mail.py",
        f"src/{SLUG}/accounts/models.py",
        f"src/{SLUG}/accounts/outbox.py",
        f"src/{SLUG}/accounts/own_pages.py",
        f"src/{SLUG}/accounts/passwords.py",
        f"src/{SLUG}/accounts/service_url.py",
        f"src/{SLUG}/accounts/sessions.py",
        f"src/{SLUG}/accounts/settings.py",
        f"src/{SLUG}/accounts/strength.py",
        f"src/{SLUG}/accounts/views.py",
        f"src/{SLUG}/accounts/common_long_passwords.txt",
        f"src/{SLUG}/accounts/common_passwords.txt",
        f"src/{SLUG}/migrations/0002_accounts.py",
        f"src/{SLUG}/migrations/accounts_0003_sessions.py",
        f"src/{SLUG}/migrations/accounts_0004_outbox.py",
        f"src/{SLUG}/static/accounts.js",
        f"src/{SLUG}/templates/accounts/account.html",
        f"src/{SLUG}/templates/accounts/address.html",
        f"src/{SLUG}/templates/accounts/browsers.html",
        f"src/{SLUG}/templates/accounts/choose.html",
        f"src/{SLUG}/templates/accounts/confirm_address.html",
        f"src/{SLUG}/templates/accounts/delete.html",
        f"src/{SLUG}/templates/accounts/form.html",
        f"src/{SLUG}/templates/accounts/password.html",
        f"src/{SLUG}/templates/accounts/reset.html",
        f"src/{SLUG}/templates/accounts/sent.html",
        f"src/{SLUG}/templates/accounts/sign_in.html",
        f"src/{SLUG}/templates/accounts/sign_up.html",
    ],
}


def remove_files_of_others(project, answers):
    """Remove the files that none of `answers` needs, and the folders that become empty."""
    for answer, names in FILES_OF.items():
        if answer in answers:
            continue
        for name in names:
            path = os.path.join(project, name)
            os.unlink(path)
            with contextlib.suppress(OSError):
                os.removedirs(os.path.dirname(path))


def write_key(project):
    """Write `project`/.env from .env.example with a new key, and return True.

    If the file exists, leave it as it is and return False. Raises OSError.
    """
    path = os.path.join(project, ".env")
    with open(f"{path}.example", encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("SECRET_KEY=")]
    lines.append(f"SECRET_KEY={secrets.token_hex(32)}\n")
    try:  # Created, private and never overwritten, in one call.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)
    except OSError:
        os.unlink(path)
        raise
    return True


class GitError(Exception):
    """git could not do its work; the text is its reason, in one line."""


def git(project, *arguments):
    """Run git in `project` and return whether it exits with 0; None if git is not installed.

    Exit status 1 is git's "no". Raises GitError for any other, such as 128, with which git fails.
    """
    environ = dict(os.environ)
    # A git hook that runs cookiecutter has these, and they name another repository.
    for name in ("DIR", "WORK_TREE", "INDEX_FILE", "COMMON_DIR", "OBJECT_DIRECTORY"):
        environ.pop(f"GIT_{name}", None)
    # The configuration of a repository around the project must start no program: none that watches
    # files, and none that fetches what a partial clone lacks (older gits know only the second).
    environ["GIT_NO_LAZY_FETCH"] = "1"
    environ["GIT_ALLOW_PROTOCOL"] = "none"
    command = ["git", "-c", "core.fsmonitor=false", "-C", project, *arguments]
    try:
        result = subprocess.run(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise GitError(f"{error.filename}: {error.strerror}") from error
    if result.returncode not in (0, 1):
        said = result.stderr.decode(errors="replace").split()
        raise GitError(" ".join(said) or f"exit status {result.returncode}")
    return result.returncode == 0


def upwards(folder):
    """`folder` and the folders around it, the closest first."""
    while True:
        yield folder
        parent = os.path.dirname(folder)
        if parent == folder:
            return
        folder = parent


def repository_of(project):
    """The folder of the repository that `project` is in or is; None when there is none."""
    for folder in upwards(project):
        if os.path.exists(os.path.join(folder, ".git")):
            return folder
    return None


def problem_with_git(project):
    """One line that says why git might commit the key, with the fix; None if git ignores it.

    Makes `project` a repository, unless it is in one. Raises GitError if git fails.
    """
    repository = repository_of(project)
    if repository is None:
        git(project, "init", "--quiet")
    if git(project, "check-ignore", "--quiet", ".env") is not False:
        return None
    problem = f"git does not ignore .env in {project}."
    if not git(project, "ls-files", "--error-unmatch", ".env"):
        return f"{problem} Run: echo .env >> {shell_quoted(os.path.join(project, '.gitignore'))}"
    folder = project
    path = ".env"
    if repository != project:
        # cookiecutter may remove the project now, and the command has to work after that.
        folder, name = os.path.split(project)
        path = f"{name}/.env"
    fix = f"git -C {shell_quoted(folder)} rm --cached {path}"
    return f"{problem} It tracks that file. Run this, and generate again: {fix}"


def shell_quoted(folder, windows=os.name == "nt"):
    """`folder` as one word of a command: for cmd and PowerShell on Windows, else for sh."""
    return f'"{folder}"' if windows else shlex.quote(folder)


def next_steps(folder, answers, written):
    """What to do next in the new project `folder`, as lines; `written` says if its key is new."""
    key = "has a new key" if written else "is as it was"
    lines = [
        f"{SLUG} is ready; .env {key}. Next:",
        f"  cd {shell_quoted(folder)}",
    ]
    if "database" in answers:
        lines.append("  uv run flask db upgrade")
    lines.append("  uv run flask run        # without uv: see README.md")
    return lines


def unchecked(project, reason):
    """The lines for a git that failed for `reason`: what is not known, and how to find it out."""
    return [
        f"git failed, so it is not known whether it ignores .env: {reason}",
        "Before the first commit, check that this command prints .env:",
        f"  git -C {shell_quoted(project)} check-ignore .env",
    ]


def is_workspace(pyproject):
    """Whether the file `pyproject` makes its folder the root of a uv workspace. Raises nothing."""
    import tomllib  # slow to import, and most projects have no such file above them

    try:
        with open(pyproject, "rb") as file:
            return "workspace" in tomllib.load(file)["tool"]["uv"]
    except (OSError, ValueError, LookupError, TypeError):
        return False


def workspace_around(project):
    """The root of the uv workspace that `project` may be a member of; None when there is none."""
    for folder in upwards(os.path.dirname(project)):
        pyproject = os.path.join(folder, "pyproject.toml")
        if os.path.exists(pyproject):  # uv asks the closest one alone
            return folder if is_workspace(pyproject) else None
    return None


def in_larger_repository(project, code_host):
    """What of `project` does not work in a folder of a larger repository, as lines."""
    lines = []
    repository = repository_of(project)
    ci = {"github": ".github", "gitlab": ".gitlab-ci.yml"}.get(code_host)
    if ci and repository not in (None, project):
        lines.append(f"CI does not run yet: {ci} works only at the root of {repository}.")
    if workspace := workspace_around(project):
        lines.append(
            f"If this is a member of the uv workspace {workspace}, the image does not build yet: "
            "uv.lock is at the root of the workspace, and the Dockerfile needs it here."
        )
    if lines:
        lines.append("What to do: docs/larger-repository.md")
    return lines


def show(lines):
    """Print `lines`, with escapes for letters that the output's encoding lacks. Never fails."""
    if sys.stdout is None:  # closed
        return
    try:
        sys.stdout.reconfigure(errors="backslashreplace")
        print(*lines, sep="\n", flush=True)
    except OSError:
        # The reader is gone, or the disk is full. Python would try again at exit, and fail then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main():
    """Finish the project in the working folder."""
    project = os.getcwd()
    os.rmdir(".accept-hooks")  # of the other hook
    remove_files_of_others(project, ANSWERS)
    try:
        written = write_key(project)
    except OSError as error:
        sys.exit(f"No key was written to {os.path.join(project, '.env')}: {error.strerror}.")
    parent, name = os.path.split(project)
    folder = name if parent == os.environ.get("PWD") else project
    lines = next_steps(folder, ANSWERS, written)
    try:
        if problem := problem_with_git(project):
            sys.exit(problem)
    except GitError as error:
        lines.extend(unchecked(project, error))
    lines.extend(in_larger_repository(project, CODE_HOST))
    if not UNDER_CRUFT:
        show(lines)


if __name__ == "__main__":
    main()
