"""Programs run as a user runs them, from the checkout."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.helpers.paths import ROOT


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def run(folder: Path, *args: object, module: str | None = None, timeout: float = 500, **variables: str) -> str:
    """Run a Python script or module in a folder, as a user would; what it printed, once it has succeeded.

    ``variables`` are environment variables for it.
    """
    command = [sys.executable, *(['-m', module] if module else []), *map(str, args)]
    env = environment(**variables)
    done = subprocess.run(command, check=False, cwd=folder, env=env, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]
    return done.stderr + done.stdout


def environment(**variables: str) -> dict[str, str]:
    """Environment variables with which another process imports this checkout, and those given."""
    return {**os.environ, 'PYTHONPATH': str(ROOT), **variables}
