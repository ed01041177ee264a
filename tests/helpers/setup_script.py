"""The set-up script in a folder of its own, with stand-ins for Python, uv and the system's commands."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.helpers.paths import ROOT

VERSIONS = '3.13, 3.12, 3.11, 3.10'
"""As the script names those it is for."""
READ = ('requirements/setup.sh', 'requirements/onedl.txt', 'requirements/openmmlab.txt', 'pyproject.toml')
PACKAGE = ('hrnet_plugins/__init__.py', 'hrnet_plugins/mmcv_ops/ext_module.py')
# A Python that passes every check, and is the environment's as well: the command line of ours, and the import check.
PYTHON = (
    'case "$*" in *version_info*) echo {version} ;; *"pip config"*) exit 1 ;; *"import mim"*) exit {imports} ;; esac'
)
# uv, which writes down what it is asked, makes an environment that holds that Python, and stops where it is told to.
UV = """
case "$*" in
    *--help*) echo "{help}"; exit ;;
    "cache dir") [ "{cache}" ] || exit 1; echo "{cache}"; exit ;;
esac
printf '%s ' "$@" >>"{log}"; echo >>"{log}"
case "$*" in *"pip sync"*-\\ *) grep == >"{log}.stdin" ;; esac
case "$*" in *"{stops}"*) {stop} ;; esac
case "$1" in venv) for last; do :; done; mkdir -p "$last/bin"; cp "{python}" "$last/bin/python" ;; esac
"""


class Checkout:
    """The files that the script reads, in a folder of their own, beside a folder of stand-in commands."""

    def __init__(self, folder: Path, name: str = 'checkout') -> None:
        self.folder = folder / name
        for path in (*READ, *PACKAGE):
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, self.folder / path)
        self.bin = folder / 'bin'
        self.bin.mkdir()
        self.log = folder / 'asked'
        self.good = self.python('good')
        for version in ('3.13', '3.12', '3.11', '3.10'):  # of this machine, which are none of the tests' business
            self.command(f'python{version}', 'exit 127')
        self.uv()

    def command(self, name: str, script: str) -> str:
        path = self.bin / name
        path.write_text(f'#!/bin/sh\n{script}\n')
        path.chmod(0o755)
        return str(path)

    def python(self, name: str, version: str = '3.11', *, imports: int = 0) -> str:
        return self.command(name, PYTHON.format(version=version, imports=imports))

    def uv(self, stops: str = 'nothing', stop: str = 'exit 2', *, cache: str | Path = '/tmp', **other: str) -> str:  # noqa: S108
        fields = dict(help='--config-settings-package', log=self.log, python=self.good) | other
        return self.command('uv', UV.format(stops=stops, stop=stop, cache=cache, **fields))

    def setup(self, stack: str = 'onedl', venv: str = '.venv', **env: str) -> subprocess.CompletedProcess:
        kept = {name: value for name, value in os.environ.items() if name not in ('PYTHON', 'OPS', 'PIP_INDEX_URL')}
        path = f'{self.bin}:{os.environ["PATH"]}'
        variables = {
            **kept,
            'PATH': path,
            'HOME': str(self.bin),
            'PYENV_ROOT': str(self.bin),
            'PYTHON': self.good,
            **env,
        }
        return subprocess.run(
            [self.folder / 'requirements' / 'setup.sh', stack, venv],
            check=False, capture_output=True, text=True, env={k: v for k, v in variables.items() if v},
        )  # fmt: skip

    def makes_environments(self, fill: str) -> str:
        """A Python whose ``-m venv`` runs the commands ``fill`` on the folder ``$last``."""
        make = f'for last; do :; done; mkdir -p "$last/bin"; {fill}'
        return self.command('maker', f'case "$*" in *version_info*) echo 3.11 ;; *venv*) {make} ;; *) exit 1 ;; esac')

    @property
    def asked(self) -> list[str]:
        """What uv was asked, a line a call."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def whole(self, venv: str = '.venv') -> bool:
        return (self.folder / venv / '.ready').exists()
