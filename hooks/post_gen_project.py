"""Gives the new project its own secret key, in a file that git ignores, and says what to do next."""

import contextlib
import os
import secrets
import subprocess
import sys

UNDER_CRUFT = "{{ cookiecutter._output_dir is undefined }}" == "True"  # which moves the project afterwards
# Which files are there for an answer alone. Who has accounts has a database too.
ANSWERS = ["{{ cookiecutter.code_host }}", *"{{ cookiecutter.data }}".replace("accounts", "accounts database").split()]
OWN = "src/{{ cookiecutter.project_slug }}/"
FILES_OF = {
    "github": [".github/dependabot.yml", ".github/workflows/ci.yml", ".github/workflows/template.yml"],
    "gitlab": [".gitlab-ci.yml"],
    "database": [
        *("docs/database.md", "tests/test_database.py", f"{OWN}database.py"),
        *(f"{OWN}migrations/{name}" for name in ("0001_start.py", "script.py.mako")),
    ],
    "accounts": [
        *("tests/test_accounts.py", f"{OWN}migrations/0002_accounts.py", f"{OWN}static/accounts.css"),
        *(f"{OWN}accounts/{name}.py" for name in "__init__ mail models passwords views".split()),
        *(f"{OWN}templates/accounts/{name}.html" for name in "choose form reset sent show sign_in sign_up".split()),
    ],
}


def remove_files_of_others(project, answers):
    """Remove from `project` what FILES_OF other answers, and the folders that this leaves empty."""
    for path in [os.path.join(project, name) for each in FILES_OF if each not in answers for name in FILES_OF[each]]:
        os.unlink(path)
        with contextlib.suppress(OSError):
            os.removedirs(os.path.dirname(path))


def write_key(project):
    """Write `project`/.env from .env.example with a fresh key; True when written, False when there was one."""
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


def git(project, *arguments):
    """The exit status of git in `project`; None where there is no git."""
    # As a git hook sets them, these name another repository.
    others = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    environ = {name: value for name, value in os.environ.items() if name not in others}
    try:
        return subprocess.run(["git", "-C", project, *arguments], env=environ).returncode
    except FileNotFoundError:
        return None


def problem_with_git(project):
    """Make `project` a repository unless it is in one; None, or one line that says why git might commit the key."""
    folder = project
    while not os.path.exists(os.path.join(folder, ".git")):
        folder, child = os.path.dirname(folder), folder
        if folder == child:
            git(project, "init", "--quiet")
            break
    if git(project, "check-ignore", "--quiet", ".env") in (0, None):
        return None
    return f"git does not ignore .env in {project}: git rm --cached .env; echo .env >> .gitignore"


if __name__ == "__main__":
    project = os.getcwd()
    parent, name = os.path.split(project)
    remove_files_of_others(project, ANSWERS)
    try:
        written = write_key(project)
    except OSError as error:
        sys.exit(f"No key was written to {os.path.join(project, '.env')}: {error.strerror}.")
    if line := problem_with_git(project):
        sys.exit(line)
    if not UNDER_CRUFT:
        folder = name if parent == os.environ.get("PWD") else project
        print(f"{name} is ready; .env {'holds a key of its own' if written else 'is as it was'}. Next:")
        print(f'  cd "{folder}"' if " " in folder else f"  cd {folder}")
        if "database" in ANSWERS:
            print("  uv run flask db upgrade")
        print("  uv run flask run        # without uv: see README.md")
