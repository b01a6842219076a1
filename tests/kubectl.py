"""Stands in for kubectl where there is no cluster: Secrets are JSON files in $KUBE, Deployments pods of podman."""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from base64 import b64decode, b64encode
from pathlib import Path

import yaml

STORE = Path(os.environ["KUBE"])
PORT = int(os.environ["KUBE_PORT"])
ADDRESS = f"http://127.0.0.1:{PORT}"


def podman(*arguments: str) -> None:
    subprocess.run(["podman", *arguments], check=True)


def mounted(name: str) -> Path:
    """The Secret `name` as kubelet lays it out with fsGroup and defaultMode: links into a folder that is swapped."""
    folder = STORE / "mounted" / name
    versions = folder / f"..{time.time_ns()}"
    versions.mkdir(parents=True)
    for item, data in json.loads((STORE / f"{name}.json").read_text())["data"].items():
        path = versions / item
        path.write_bytes(b64decode(data))
        os.chown(path, 0, 10001)
        path.chmod(0o440)
        link = folder / item
        link.unlink(missing_ok=True)
        link.symlink_to(f"..data/{item}")
    (folder / "..new").symlink_to(versions.name)
    (folder / "..new").rename(folder / "..data")
    return folder


def start() -> None:
    """Run one replica of the Deployment, its port on this host, its Secret from a folder."""
    deployment = yaml.safe_load((STORE / "deployment.json").read_text())
    deployment["spec"]["replicas"] = 1
    pod = deployment["spec"]["template"]["spec"]
    pod["containers"][0]["ports"][0]["hostPort"] = PORT
    for volume in pod["volumes"]:
        if secret := volume.pop("secret", None):
            volume["hostPath"] = {"path": str(mounted(secret["secretName"])), "type": "Directory"}
    (STORE / "pod.json").write_text(json.dumps(deployment))
    podman("play", "kube", "--replace", str(STORE / "pod.json"))


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for option in ("--output", "--filename", "--dry-run", "--patch-file"):
        parser.add_argument(option)
    parser.add_argument("--from-file", action="append")
    command = words[words.index("--") + 1 :] if "--" in words else []
    given, rest = parser.parse_known_args(words[: -len(command) - 1] if command else words)
    match rest:
        case ["create", "secret", "generic", name]:
            data = {}
            for each in given.from_file:
                item, _, path = each.rpartition("=")
                for source in Path(path).iterdir() if Path(path).is_dir() else [Path(path)]:
                    data[item or source.name] = b64encode(source.read_bytes()).decode()
            secret = json.dumps({"kind": "Secret", "metadata": {"name": name}, "data": data})
            if given.dry_run == "client":
                print(secret)
            else:
                with (STORE / f"{name}.json").open("x") as file:
                    file.write(secret)
        case ["patch", "secret", name]:
            path = STORE / f"{name}.json"
            secret = json.loads(path.read_text())
            patch = yaml.safe_load(Path(given.patch_file).read_text())
            assert patch.get("metadata", {}).get("name", name) == name
            texts = patch.get("stringData", {}).items()
            given_as_text = {item: b64encode(text.encode()).decode() for item, text in texts}
            # A strategic merge: what the patch does not name stays.
            secret["data"] |= patch.get("data", {}) | given_as_text
            path.write_text(json.dumps(secret))
        case ["get", "secret", name]:
            item = given.output.removeprefix("jsonpath={.data.").removesuffix("}")
            print(json.loads((STORE / f"{name}.json").read_text())["data"].get(item, ""), end="")
        case ["apply"]:
            parts = yaml.safe_load_all(Path(given.filename).read_text())
            deployment = next(part for part in parts if part["kind"] == "Deployment")
            (STORE / "deployment.json").write_text(json.dumps(deployment))
            start()
        case ["rollout", "restart", _]:
            start()
        case ["rollout", "status", _]:
            for _ in range(100):
                try:
                    urllib.request.urlopen(f"{ADDRESS}/readyz", timeout=1).close()  # noqa: S310
                    return
                except OSError:
                    time.sleep(0.1)
            sys.exit("not ready")
        case ["exec", target]:
            podman("exec", f"{target.removeprefix('deployment/')}-pod-0-web", *command)
        case _:
            sys.exit(f"kubectl {words} is not stood in for")


main(sys.argv[1:])
