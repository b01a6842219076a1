"""Bake a service with default answers and serve it until Ctrl-C: `make demo`."""

import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parents[1]
OUTPUT = TEMPLATE / ".demo"


def free_port(first: int) -> int:
    """The first port from `first` on that nobody listens at."""
    for port in range(first, first + 100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    sys.exit(f"Ports {first} to {first + 99} are all taken.")


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends too
    shutil.rmtree(OUTPUT, ignore_errors=True)
    cookiecutter = Path(sys.executable).with_name("cookiecutter")
    command = [cookiecutter, "--no-input", "--default-config", "--output-dir", OUTPUT, TEMPLATE]
    subprocess.run(command, check=True)
    project = next(OUTPUT.iterdir())
    port = free_port(5000)
    address = f"http://127.0.0.1:{port}/"
    server = subprocess.Popen(["uv", "run", "--quiet", "flask", "run", "--port", str(port)], cwd=project)
    try:
        while server.poll() is None:
            try:
                urllib.request.urlopen(f"{address}healthz", timeout=5).close()  # noqa: S310
                break
            except OSError:
                time.sleep(0.2)
        if server.poll() is None:
            print(
                f"\nThe service is at {address} (Ctrl-C ends it). Look at: the number of your visits, which its key"
                f"\nsigns; the toolbar at the right, where Security shows what the doctor finds and the key's"
                f"\nfingerprint; the page in another browser, with a session of its own."
                f"\nIts files are in {project}.",
                flush=True,
            )
        sys.exit(server.wait())
    except KeyboardInterrupt:
        server.wait()
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
