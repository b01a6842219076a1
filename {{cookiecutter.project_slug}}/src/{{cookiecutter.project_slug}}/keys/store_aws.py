"""The keys in AWS Secrets Manager: AWSCURRENT signs, AWSPENDING is staged, AWSPREVIOUS still verifies."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import settings
from .ring import Found, KeyRing
from .rotation import RotationError

PLACE = "AWS Secrets Manager"
VARIABLE = "SECRET_KEY_AWS_SECRET_ID"

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"

DENIED = "Access is denied. It takes secretsmanager:DescribeSecret and secretsmanager:GetSecretValue"
# What to do about an error, by botocore's name or AWS's code for it.
CURES = {
    "NoRegionError": "No region is set. export AWS_DEFAULT_REGION=...",
    "NoCredentialsError": "There are no credentials. See: aws sts get-caller-identity",
    "PartialCredentialsError": "The credentials are incomplete. See: aws sts get-caller-identity",
    "AccessDeniedException": DENIED,
    "403": DENIED,  # an answer that names no code
    "ResourceNotFoundException": "There is no such secret. See: aws secretsmanager list-secrets",
    "UnrecognizedClientException": "AWS does not accept the credentials. See: aws sts get-caller-identity",
    "EndpointConnectionError": "AWS can't be reached from here",
    "ConnectTimeoutError": "AWS can't be reached from here: it did not answer in time",
    "ReadTimeoutError": "AWS did not answer in time",
}


def find(environ: Mapping[str, str]) -> Found | None:
    """The ring in the secret that SECRET_KEY_AWS_SECRET_ID names; None without that variable.

    AWS does not tell when a version was promoted; the secret's last change is no earlier, so no session is
    lost by going by it. Raises settings.StartupError.
    """
    if VARIABLE not in environ:
        return None
    with client(environ) as (aws, name):
        secret = aws.describe_secret(SecretId=name)
        versions = by_stage(secret)
        values = {stage: aws.get_secret_value(SecretId=name, VersionId=version) for stage, version in versions.items()}
    keys = {stage: value.get("SecretString", value.get("SecretBinary")) for stage, value in values.items()}
    previous = (keys[PREVIOUS],) if PREVIOUS in keys else ()
    return Found(PLACE, keys.get(CURRENT), keys.get(PENDING), previous, secret.get("LastChangedDate"))


def files(environ: Mapping[str, str]) -> list[Path]:
    """The files that this store reads: it has none."""
    return []


def save(before: KeyRing, after: KeyRing) -> bool:
    """Move the stages of the secret so that they say `after`, which followed from `before`.

    Raises RotationError where AWS has no place for it, settings.StartupError where AWS does not do it.
    """
    if len(after.previous) > 1:
        raise RotationError(f"{PLACE} keeps one older key. Drop it first: flask key retire")
    with client(os.environ) as (aws, name):
        versions = by_stage(aws.describe_secret(SecretId=name))

        def move(stage: str, to: str | None = None) -> None:
            """Take `stage` from the version that has it, and give it `to` another."""
            moved = {"MoveToVersionId": to} if to else {}
            if stage in versions:
                moved["RemoveFromVersionId"] = versions[stage]
            if moved:
                aws.update_secret_version_stage(SecretId=name, VersionStage=stage, **moved)

        if after.next and after.next != before.next:
            aws.put_secret_value(SecretId=name, SecretString=str(after.next), VersionStages=[PENDING])
        if after.current != before.current:
            if after.current != before.next:
                aws.put_secret_value(SecretId=name, SecretString=str(after.current), VersionStages=[PENDING])
                versions = by_stage(aws.describe_secret(SecretId=name))
            move(CURRENT, versions[PENDING])  # AWS itself makes the one before it AWSPREVIOUS
            move(PENDING)
            versions = by_stage(aws.describe_secret(SecretId=name))
        if not after.previous:
            move(PREVIOUS)
    return True


def by_stage(secret: Mapping[str, Any]) -> dict[str, str]:
    """The version that has each of the three stages."""
    stages = secret.get("VersionIdsToStages", {})
    known = (CURRENT, PENDING, PREVIOUS)
    versions = {stage: version for version, names in stages.items() for stage in names if stage in known}
    if versions.get(PENDING) == versions.get(CURRENT):
        versions.pop(PENDING, None)  # a promotion that was interrupted, or AWS's own rotation
    return versions


@contextmanager
def client(environ: Mapping[str, str]) -> Iterator[tuple[Any, str]]:
    """A client with bounded waits, and the secret's name; what goes wrong is one line."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    name = environ[VARIABLE]
    if not name:
        raise settings.StartupError("aws-name", f"{VARIABLE} is set but empty", f"unset {VARIABLE}")
    waits = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
    try:
        yield boto3.client("secretsmanager", config=waits), name
    except (BotoCoreError, ClientError) as error:
        response = getattr(error, "response", {})
        code = response.get("Error", {}).get("Code") or type(error).__name__
        cure = CURES.get(code, f"AWS says {code}")
        raise settings.StartupError(f"aws-{code}", f"{VARIABLE}={name} can't be used", cure) from None
