"""Put ``mmcv._ext``, made of :mod:`hrnet_plugins.mmcv_ops.extension`, into the installed mmcv, and take it out again.

The module is one small file that imports ours, so that whatever uses mmcv there (mim, the frameworks' own tools)
need not know of it. It is written under another name and renamed, and entered at the end of the distribution's
``RECORD``, so that pip and uv remove it with mmcv. Nothing else changes. Imports neither torch nor mmcv.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.machinery
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

NAMES = ('mmcv', 'mmcv-full', 'mmcv-lite', 'onedl-mmcv', 'onedl-mmcv-lite')
"""The distributions that install the package ``mmcv``, of which there may be one."""
MODULE = Path(__file__).with_name('ext_module.py').read_bytes()
"""What the file ``mmcv/_ext.py`` holds."""
MARK = MODULE.splitlines()[0]
"""How it begins in every release, by which it is known."""
_ENTRY = b'mmcv/_ext.py,'

State = Literal['absent', 'ours', 'outdated', 'compiled', 'unusable', 'foreign']


class InstallError(ValueError):
    """Why the operators cannot be installed or removed, in one line for the user."""


@dataclass(frozen=True)
class Mmcv:
    """An installed mmcv.

    Args:
        distribution: Its metadata.
        folder: The package.
    """

    distribution: metadata.Distribution
    folder: Path

    @property
    def name(self) -> str:
        """The distribution's, as in ``onedl-mmcv``."""
        return _name(self.distribution)

    @property
    def title(self) -> str:
        """Name and version, as in ``onedl-mmcv 2.3.6``."""
        return f'{self.name} {self.distribution.version}'

    @property
    def module(self) -> Path:
        """Where our module is or would be."""
        return self.folder / '_ext.py'

    @property
    def extension(self) -> Path | None:
        """What Python finds as ``mmcv._ext`` before it looks at our module: a package, or a compiled one."""
        names = ('_ext', *(f'_ext{suffix}' for suffix in importlib.machinery.EXTENSION_SUFFIXES))
        return next((self.folder / name for name in names if (self.folder / name).exists()), None)

    @property
    def unusable(self) -> Path | None:
        """An extension that is compiled for another Python or platform, which this one does not look at."""
        found = (path for path in sorted(self.folder.glob('_ext.*')) if path.suffix in ('.so', '.pyd'))
        return next((path for path in found if path != self.extension), None)

    @property
    def state(self) -> State:
        """What ``mmcv._ext`` is.

        Nothing, ours, ours of another release, compiled, compiled for another Python only, or somebody else's.
        """
        if self.extension:
            return 'foreign' if self.extension.is_dir() else 'compiled'
        if not self.module.exists():
            return 'unusable' if self.unusable else 'absent'
        content = self.module.read_bytes()
        if content == MODULE:
            return 'ours'
        return 'outdated' if content.startswith(MARK) else 'foreign'

    @property
    def record(self) -> Path | None:
        """The distribution's list of files, if it lists the package: that of an editable installation does not."""
        files = {path.as_posix(): path for path in self.distribution.files or ()}
        (path, *_) = *(path for path in files if path.endswith('.dist-info/RECORD')), None
        return None if path is None or 'mmcv/__init__.py' not in files else Path(str(files[path].locate()))

    @property
    def recorded(self) -> bool:
        """Whether our module is on that list, and so goes with mmcv."""
        return self.record is not None and any(_is_ours(line) for line in self.record.read_bytes().splitlines())


def find() -> Mmcv:
    """The mmcv of this environment, which is not imported.

    Raises:
        InstallError: If there is none, more than one, or one that this is not for.
    """
    known = [each for each in metadata.distributions() if _name(each) in NAMES]
    found = {_name(each): each for each in reversed(known)}  # the first on the path is the one that is imported
    if not found:
        raise InstallError('mmcv is not installed: install one of the two stacks, as docs/install.md says')
    if len(found) > 1:
        names = ' and '.join(f'{name} {each.version}' for name, each in sorted(found.items()))
        raise InstallError(f'{names} are installed and share one folder: uninstall all of them, then install one')
    ((name, distribution),) = found.items()
    spec = importlib.util.find_spec('mmcv')
    if spec is None or spec.origin is None:
        raise InstallError(f'{name} is installed, but there is no package mmcv to import: install it again')
    mmcv = Mmcv(distribution, Path(spec.origin).parent)
    if mmcv.record is not None and mmcv.record.parents[1].resolve() != mmcv.folder.parent.resolve():
        raise InstallError(f'mmcv is imported from {mmcv.folder}, where {mmcv.title} is not: start elsewhere')
    if not distribution.version.startswith('2.') or not (mmcv.folder / 'ops' / '__init__.py').is_file():
        raise InstallError(f'{mmcv.title} in {mmcv.folder} has not the mmcv.ops of mmcv 2: install mmcv 2')
    return mmcv


def install(mmcv: Mmcv) -> str:
    """Give mmcv our module; nothing changes where it has operators already, ours or compiled ones.

    Returns:
        What was done, in one line.

    Raises:
        InstallError: If mmcv has an extension that is neither ours nor one that this Python can import, torchvision is
            not there, or a file cannot be written.
    """
    state, record = mmcv.state, mmcv.record
    if state == 'compiled':
        return f'{mmcv.title} has compiled operators already, which stay as they are: {mmcv.extension}'
    if state == 'unusable':
        raise InstallError(
            f'{mmcv.unusable} is compiled for another Python or platform, and mmcv.ops cannot be imported: install '
            f'{mmcv.name} again'
        )
    if state == 'foreign':
        raise InstallError(f'{mmcv.extension or mmcv.module} is not from hrnet-plugins: move it away to install ours')
    if importlib.util.find_spec('torchvision') is None:
        raise InstallError('torchvision, whose operators these are, is not installed: install the one for your torch')
    if state == 'ours' and (record is None or mmcv.recorded):
        return f'{mmcv.title} has the operators already: {mmcv.module}'
    with _one_line(mmcv.folder):
        _write(mmcv.module, MODULE, mode_of=mmcv.folder / '__init__.py')
        if record is not None:
            _write(record, _without_ours(record) + _entry(record), mode_of=record)
    return f"{mmcv.title} now has operators on torchvision's: {mmcv.module}"


def remove(mmcv: Mmcv) -> str:
    """Take our module out of mmcv; nothing changes where it is not.

    Returns:
        What was done, in one line.

    Raises:
        InstallError: If a file cannot be written or deleted.
    """
    ours = mmcv.state in ('ours', 'outdated')
    # A compiled or a stranger's module may be in the same list under the same name: then the entry is not ours.
    record = mmcv.record if ours or mmcv.state == 'absent' else None
    if not ours and (record is None or not mmcv.recorded):
        return f'{mmcv.title} has none of our operators: nothing to remove'
    with _one_line(mmcv.folder):
        if record is not None:
            _write(record, _without_ours(record), mode_of=record)
        mmcv.module.unlink(missing_ok=True)
        for compiled in (mmcv.folder / '__pycache__').glob('_ext.*.pyc'):
            compiled.unlink()
    return f'{mmcv.title} is as it was before'


def status(mmcv: Mmcv) -> dict[str, str]:
    """What is there: texts by what they are about."""
    torchvision = 'not installed'
    with suppress(metadata.PackageNotFoundError):
        torchvision = metadata.version('torchvision')
    operators = {
        'absent': 'none, mmcv.ops cannot be imported: `hrnet-plugins mmcv-ops install` gives it ours',
        'ours': f"hrnet-plugins', up to date: {mmcv.module}",
        'outdated': f"hrnet-plugins' of another release, `hrnet-plugins mmcv-ops install` renews it: {mmcv.module}",
        'compiled': f'compiled: {mmcv.extension}',
        'unusable': f'compiled for another Python or platform, install {mmcv.name} again: {mmcv.unusable}',
        'foreign': f'of unknown origin: {mmcv.extension or mmcv.module}',
    }
    found = {'mmcv': f'{mmcv.title}: {mmcv.folder}', 'operators': operators[mmcv.state], 'torchvision': torchvision}
    if mmcv.state in ('ours', 'outdated'):
        goes = (
            'deletes the module too'
            if mmcv.recorded
            else f'leaves the module, for it has no list of files: {mmcv.module}'
        )
        found['uninstalling'] = f'{mmcv.name} {goes}'
    return found


def how_to_compile() -> str:
    """What to do for mmcv's own compiled operators, as a sentence."""
    package = 'mmcv'
    steps = ['hrnet-plugins mmcv-ops remove']
    with suppress(InstallError):
        mmcv = find()
        package = f'{mmcv.name.removesuffix("-lite")}=={mmcv.distribution.version}'
        if mmcv.name.endswith('-lite'):
            steps.append(f'pip uninstall {mmcv.name}')
    steps.append(f'pip install --no-build-isolation --no-deps --no-cache-dir --force-reinstall {package}')
    return f'For the compiled ones, with a C++ compiler: {" && ".join(steps)}'


@contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    """Say what kept a file from being written as the user's error."""
    try:
        yield
    except OSError as error:
        raise InstallError(
            f'{folder} cannot be changed ({error.strerror or error}): do it as somebody who may, or in a virtual '
            'environment'
        ) from error


def _write(path: Path, content: bytes, *, mode_of: Path) -> None:
    """Replace a file at once: others see the old one or the new one, and files that are hard links to it stay."""
    descriptor, name = tempfile.mkstemp(prefix='.hrnet-plugins-', dir=path.parent)
    try:
        with os.fdopen(descriptor, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(mode_of, name)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _name(distribution: metadata.Distribution) -> str:
    return str(distribution.metadata['Name']).lower().replace('_', '-')


def _is_ours(line: bytes) -> bool:
    return line.startswith(_ENTRY)


def _without_ours(record: Path) -> bytes:
    """The list without our module. Its first line stays first: onedl-mim finds a package's folder by it."""
    return b''.join(line for line in record.read_bytes().splitlines(keepends=True) if not _is_ours(line))


def _entry(record: Path) -> bytes:
    """The line of our module, ended as the lines before it are."""
    before = record.read_bytes()
    end = b'\r\n' if b'\r\n' in before else b'\n'
    digest = base64.urlsafe_b64encode(hashlib.sha256(MODULE).digest()).rstrip(b'=')
    return (b'' if before.endswith(end) else end) + _ENTRY + b'sha256=%s,%d' % (digest, len(MODULE)) + end
