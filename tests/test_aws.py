"""The keys in AWS Secrets Manager, against moto's server."""

import secrets
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer
from support import SLUG, bake, clean_environ, free_port, run

NAME = "service/key"


class Service:
    """A service generated for AWS, and the secret that it uses."""

    def __init__(self, path: Path, endpoint: str) -> None:
        self.path = path
        self.credentials = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-central-1",
        }
        self.aws = boto3.client(
            "secretsmanager",
            endpoint_url=endpoint,
            region_name="eu-central-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def flask(self, *arguments: str, code: int = 0, without: str = "", **more: str) -> str:
        env = {"APP_ENV": "production", "TRUSTED_HOSTS": "localhost", "SECRET_KEY_AWS_SECRET_ID": NAME}
        env |= {**self.credentials, **more}
        env.pop(without, None)
        home = clean_environ(HOME=str(self.path), AWS_EC2_METADATA_DISABLED="true", **env)
        output = run(self.path / ".venv" / "bin" / "flask", *arguments, cwd=self.path, code=code, env=home)
        for key in self.keys().values():
            assert key not in output
        return output

    def keys(self) -> dict[str, str]:
        """The key in each stage of the secret."""
        try:
            stages = self.aws.describe_secret(SecretId=NAME)["VersionIdsToStages"]
        except self.aws.exceptions.ResourceNotFoundException:
            return {}
        return {
            stage: self.aws.get_secret_value(SecretId=NAME, VersionId=version)["SecretString"]
            for version, names in stages.items()
            for stage in names
        }


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    path = bake(tmp_path_factory.mktemp("aws"), key_store="aws")
    run("uv", "sync", "--quiet", "--python", sys.executable, cwd=path)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Service(path, f"http://{host}:{port}")
    server.stop()


@pytest.fixture
def secret(service: Service) -> Iterator[str]:
    key = secrets.token_hex(32)
    service.aws.create_secret(Name=NAME, SecretString=key)
    yield key
    service.aws.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)


def test_its_own_checks_pass(service: Service) -> None:
    for command in (["mypy"], ["ruff", "check"], ["ruff", "format", "--check"], ["pytest", "-q"]):
        run(service.path / ".venv" / "bin" / command[0], *command[1:], cwd=service.path)
    assert not (service.path / "src" / SLUG / "keys" / "store_aws.py").exists()


def test_the_whole_rotation(service: Service, secret: str) -> None:
    assert "from         AWS Secrets Manager" in service.flask("key", "show")

    service.flask("key", "stage")
    staged = service.keys()["AWSPENDING"]
    assert service.keys() == {"AWSCURRENT": secret, "AWSPENDING": staged}
    assert "staged already" in service.flask("key", "stage", code=1)
    assert "next" in service.flask("key", "show")

    service.flask("key", "promote")
    assert service.keys() == {"AWSCURRENT": staged, "AWSPREVIOUS": secret}
    assert "previous" in service.flask("key", "show")
    assert "are valid until" in service.flask("key", "retire", code=1)
    # AWS has room for one older key: a second would push the first out before its time.
    service.flask("key", "stage")
    before = service.keys()
    assert "keeps one older key" in service.flask("key", "promote", code=1)
    assert service.keys() == before

    service.flask("key", "retire", "--force")
    assert service.keys().keys() == {"AWSCURRENT", "AWSPENDING"}
    service.flask("key", "promote")
    service.flask("key", "retire", "--force")
    service.flask("key", "rotate")
    assert service.keys()["AWSPREVIOUS"] == before["AWSPENDING"]

    service.flask("key", "stage", code=None)
    old = set(service.keys().values())
    service.flask("key", "revoke", "--yes")
    assert service.keys().keys() == {"AWSCURRENT"}
    assert service.keys()["AWSCURRENT"] not in old
    service.flask("key", "show")


def test_a_weak_key_is_refused(service: Service, secret: str) -> None:
    service.aws.put_secret_value(SecretId=NAME, SecretString="changeme")
    assert "SECRET_KEY in AWS Secrets Manager is, or contains, a sample" in service.flask("run", code=1)


def test_two_places_with_two_keys_are_an_error(service: Service, secret: str) -> None:
    output = service.flask("run", code=1, SECRET_KEY=secrets.token_hex(32))
    assert "SECRET_KEY in the environment and AWS Secrets Manager (SECRET_KEY_AWS_SECRET_ID) differ" in output


def test_boto3_is_imported_only_when_used(service: Service) -> None:
    code = f"import sys, {SLUG}; {SLUG}.create_app('testing'); print('boto3' in sys.modules)"
    assert run(service.path / ".venv" / "bin" / "python", "-c", code, cwd=service.path) == "False\n"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, "There is no such secret"),
        ({"without": "AWS_DEFAULT_REGION"}, "No region is set"),
        ({"without": "AWS_SECRET_ACCESS_KEY"}, "credentials"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:{}"}, "AWS can't be reached from here"),
        ({"SECRET_KEY_AWS_SECRET_ID": ""}, "is set but empty"),
    ],
    ids=["no secret", "no region", "no credentials", "no network", "empty"],
)
def test_what_goes_wrong_is_one_line(service: Service, change: dict[str, str], why: str) -> None:
    change = {name: value.format(free_port()) for name, value in change.items()}
    output = service.flask("run", code=1, **change)
    assert why in output
    assert len(output.splitlines()) == 1


def test_access_denied_is_one_line(service: Service, secret: str) -> None:
    """moto looks at policies once it is told to; a user who has none may do nothing."""
    endpoint = service.credentials["AWS_ENDPOINT_URL"]
    known = {name.lower(): value for name, value in service.credentials.items() if name.startswith("AWS_SECRET")}
    iam = boto3.client("iam", endpoint_url=endpoint, region_name="eu-central-1", aws_access_key_id="testing", **known)
    iam.create_user(UserName="nobody")
    access = iam.create_access_key(UserName="nobody")["AccessKey"]
    nobody = {"AWS_ACCESS_KEY_ID": access["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": access["SecretAccessKey"]}
    environ = {"APP_ENV": "production", "SECRET_KEY_AWS_SECRET_ID": NAME, **service.credentials, **nobody}
    checking(endpoint, after="0")
    try:
        flask = service.path / ".venv" / "bin" / "flask"
        output = run(flask, "run", cwd=service.path, code=1, env=clean_environ(**environ))
    finally:
        checking(endpoint, after="inf")
    assert "Access is denied. It takes secretsmanager:" in output
    assert len(output.splitlines()) == 1


def checking(endpoint: str, after: str) -> None:
    """Make moto look at policies after so many requests."""
    headers = {"Content-Type": "text/plain"}
    order = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", after.encode(), headers)  # noqa: S310
    urllib.request.urlopen(order, timeout=5).close()  # noqa: S310
