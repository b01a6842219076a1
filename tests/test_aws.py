"""The recipe for AWS Secrets Manager in docs/recipes.md, run with the AWS CLI against moto's server."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from flask import Flask
from moto.server import ThreadedMotoServer
from support import TEMPLATE, Project, clean_environ, need, run

import flask_secure
from flask_secure.strength import weakness

FETCH, CREATE, STAGE, PROMOTE, RETIRE = re.findall(
    r"^```sh\n(.*?)^```$", (TEMPLATE / "docs" / "recipes.md").read_text(), re.MULTILINE | re.DOTALL
)
FILES = ("secret_key", "secret_key_next", "secret_key_fallbacks")


class Machine:
    """A production host with the AWS CLI."""

    def __init__(self, path: Path, project: Project, endpoint: str) -> None:
        self.path, self.folder, self.commands = path, path / "keys", path / "commands"
        moto = f"--endpoint-url={endpoint}"  # the CLI of Debian 12 does not know AWS_ENDPOINT_URL
        recorder = path / "bin" / "aws"  # what other users of the machine can see
        recorder.parent.mkdir()
        recorder.write_text(f'#!/bin/sh\necho "$@" >> {self.commands}\nexec {need("aws", "awscli")} {moto} "$@"\n')
        recorder.chmod(0o700)
        self.environ = clean_environ(
            PATH=os.pathsep.join([str(recorder.parent), str(project.program("flask").parent), os.environ["PATH"]]),
            SECRET_ID="service/signing-key",
            CREDENTIALS_DIRECTORY=str(self.folder),
            AWS_ACCESS_KEY_ID="testing",
            AWS_SECRET_ACCESS_KEY="testing",
            AWS_DEFAULT_REGION="eu-central-1",
            AWS_CONFIG_FILE=os.devnull,
            AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        )
        self.environ.pop("PYTHONPYCACHEPREFIX", None)  # the AWS CLI has been compiled where it lies

    def sh(self, script: str, code: int | None = 0, **more: str) -> str:
        return run("sh", "-c", script, cwd=self.path, env=self.environ | more, code=code)

    def start(self) -> tuple[str, list[str]]:
        """Fetch the keys and start the service: the key that signs, and those that only verify."""
        assert self.sh(FETCH) == ""
        assert {path.name for path in self.folder.iterdir()} == set(FILES)
        environ = {name: value for name, value in self.environ.items() if not name.startswith("AWS_")}
        with patch.dict(os.environ, environ | {"TRUSTED_HOSTS": "localhost"}, clear=True):
            app = Flask("service", root_path=str(self.path))
            flask_secure.init_app(app, "production")
        return app.config["SECRET_KEY"], app.config["SECRET_KEY_FALLBACKS"]


@pytest.fixture
def machine(tmp_path: Path, project: Project) -> Iterator[Machine]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Machine(tmp_path, project, f"http://{host}:{port}")
    server.stop()


def test_the_stages_of_a_secret_become_the_three_files(machine: Machine) -> None:
    shown = [machine.sh(CREATE), machine.sh(STAGE)]
    first, (second,) = machine.start()
    assert [weakness(str(key)) for key in (first, second)] == [None, None]
    assert (machine.folder / "secret_key_fallbacks").read_text() == ""
    assert [stat.S_IMODE((machine.folder / name).stat().st_mode) for name in FILES] == [0o600] * 3
    assert stat.S_IMODE(machine.folder.stat().st_mode) == 0o700

    shown.append(machine.sh(PROMOTE))
    assert machine.start() == (second, [first])

    before = {name: (machine.folder / name).read_bytes() for name in FILES}
    shown.append(machine.sh(FETCH, code=None, SECRET_ID="service/other"))
    assert "ResourceNotFoundException" in shown[-1]
    assert {name: (machine.folder / name).read_bytes() for name in FILES} == before

    shown.append(machine.sh(RETIRE))
    assert machine.start() == (second, [])
    seen = machine.commands.read_text() + "".join(shown)
    assert not [key for key in (first, second) if key in seen]
    assert "get-secret-value" in seen
