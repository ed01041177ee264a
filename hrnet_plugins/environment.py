"""Where a number was measured or an error seen: the machine, the installed versions, and the commit of a checkout."""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

from hrnet_plugins.processor import cpu_name, instruction_sets

DISTRIBUTIONS = {
    'mmengine': ('onedl-mmengine', 'mmengine'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
    'mmpretrain': ('onedl-mmpretrain', 'mmpretrain'),
    'mim': ('onedl-mim', 'openmim'),
}
"""The modules of the OpenMMLab stack, and the distributions of the two stacks that provide each."""

MODULES = ('torch', 'torchvision', *DISTRIBUTIONS, 'numpy', 'cv2', 'timm', 'onnx', 'onnxruntime', 'openvino')
"""The modules whose versions change results or speed."""


def describe() -> dict[str, object]:
    """All there is to say, as values that JSON can hold: what a report of a problem should carry."""
    return dict(
        system=platform.platform(),
        cpu=cpu_name(),
        instruction_sets=list(instruction_sets()),
        cores=os.cpu_count(),
        memory_gib=round(memory() / 2**30, 1),
        gpus=list(gpus()),
        python=platform.python_version(),
        versions=versions(),
        distributions=distributions(),
        commit=commit_of(Path(__file__).parent),
    )


def memory() -> int:
    """Bytes of main memory."""
    return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')


def gpus() -> tuple[str, ...]:
    """The names of the CUDA devices that PyTorch sees, one each."""
    import torch  # noqa: PLC0415, importing this file must stay quick

    return tuple(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def versions(modules: Iterable[str] = MODULES) -> dict[str, str]:
    """The version that each module states, of those that import and do: torch's names its build, as in 2.11.0+cpu."""
    found = {}
    for name in modules:
        try:
            version = getattr(importlib.import_module(name), '__version__', None)
        except ImportError:
            continue
        if version:
            found[name] = str(version)
    return found


def distributions(modules: Iterable[str] = tuple(DISTRIBUTIONS)) -> dict[str, str]:
    """Names and versions of the installed distributions that provide these modules of ``DISTRIBUTIONS``."""
    found = {}
    for name in (name for module in modules for name in DISTRIBUTIONS[module]):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def is_running(process: int) -> bool:
    """Whether a process of this machine runs, by its number; one that has ended unasked for does not.

    Where its state cannot be read, one that is there counts as running.
    """
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    try:
        state = Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[0]
    except (OSError, IndexError):  # no Linux
        return True
    return state not in 'ZX'


def commit_of(folder: Path, *, written: Sequence[str | Path] = ()) -> str:
    """The commit of the checkout that a folder is in, shortened.

    Args:
        folder: A folder of the checkout.
        written: The files that the caller writes itself, which leave the commit clean: names below ``folder``, which
            may have wildcards, or paths.

    Returns:
        ``-dirty`` follows the commit where other tracked files of the checkout differ from it. ``'unknown'`` where
        there is no checkout, or no git.
    """
    commit = _git(folder, 'rev-parse', '--short', 'HEAD')
    if not commit:
        return 'unknown'
    root = Path(_git(folder, 'rev-parse', '--show-toplevel'))
    paths = [(folder / name).resolve() for name in written]
    own = [f':(exclude){path}' for path in paths if path.is_relative_to(root)]  # git refuses paths elsewhere
    changed = _git(folder, 'status', '--porcelain', '--untracked-files=no', '--', ':/', *own)
    return f'{commit}-dirty' if changed else commit


def _git(folder: Path, *arguments: str) -> str:
    """What git prints; nothing where it fails or is not there."""
    command = ['git', '-C', str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=False, text=True).stdout.strip()
    except OSError:
        return ''
