"""What mmengine is taught as soon as it is imported; ``hrnet_plugins/__init__.py`` asks for it.

Of the library no more is imported than mmengine needs at that moment.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from hrnet_plugins.safe_globals import allow_mmengine_checkpoints


def register_checkpoints(checkpoint: ModuleType) -> None:
    """Let mmengine load names such as ``hrnet://w32``, torch what mmengine's own checkpoints hold, and nothing else.

    The names then work as ``load_from`` and in ``init_cfg=dict(type='Pretrained', checkpoint='hrnet://w32')``, and so
    do ``.safetensors`` files. Files and addresses are read by ``hrnet_plugins.weights.load_content``, which runs
    nothing that a file holds. By itself mmengine falls back to unsafe loading on the onedl stack, and on both for what
    it downloads. A checkpoint whose backbone does not reach that of the model is an error.

    Args:
        checkpoint: The module ``mmengine.runner.checkpoint``.
    """
    allow_mmengine_checkpoints()
    register = checkpoint.CheckpointLoader.register_scheme
    register(prefixes='hrnet://', loader=load_from_hrnet, force=True)
    register(prefixes='', loader=load_from_local, force=True)
    names = vars(checkpoint)
    names['load_state_dict'] = _backbones_fitted(checkpoint.load_state_dict)
    # Every scheme of mmengine's reads through one of these two, or through torch's own safe loading.
    names['load_url'] = load_url
    if '_safe_torch_load' in names:
        names['_safe_torch_load'] = load_file


# mmengine's log takes the backend's name from the name of this function: what follows `load_from_`.
def load_from_hrnet(filename: str, map_location: Any = None) -> dict[str, Any]:
    """See ``hrnet_plugins.weights.hub.load_from_hrnet``."""
    from hrnet_plugins.weights import hub  # noqa: PLC0415, most runs load no named weight

    return hub.load_from_hrnet(filename, map_location)


def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Read a checkpoint file for mmengine, safely.

    Args:
        filename: The file; ``~`` is the user's home.
        map_location: As for ``torch.load``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: As ``hrnet_plugins.weights.load_content``.
    """
    return load_file(os.path.expanduser(filename), map_location)


def load_url(
    url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True, **_: Any
) -> Any:  # the signature of `torch.hub.load_state_dict_from_url`, which it stands in for
    """Read the checkpoint of an address for mmengine, safely: from torch's cache, ours, or a download to ours.

    Raises:
        FileNotFoundError: If it cannot be had.
        ValueError: As ``hrnet_plugins.weights.load_content``.
    """
    import torch  # noqa: PLC0415, it is there when mmengine asks

    from hrnet_plugins.weights import hub  # noqa: PLC0415, most runs load no address

    known = Path(model_dir or os.path.join(torch.hub.get_dir(), 'checkpoints')) / os.path.basename(url)
    return load_file(known if known.is_file() else hub.file_of(url), map_location)


def load_file(file: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
    """Read a checkpoint for mmengine, safely: a path, or an open file that some storage backend has filled.

    Texts of configs that hold more than plain values are left out, with a warning, as mmengine would run them.

    Args:
        file: A path or an open binary file.
        map_location: As for ``torch.load``.
        weights_only: Not used: nothing else is ever loaded.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: As ``hrnet_plugins.weights.load_content``.
    """
    from hrnet_plugins.weights.checkpoint_io import load_content  # noqa: PLC0415, imported when mmengine needs it
    from hrnet_plugins.weights.plain_config import without_code  # noqa: PLC0415
    from hrnet_plugins.weights.trust import TRUST_VARIABLE, is_trusted  # noqa: PLC0415

    if not isinstance(file, (str, os.PathLike)):
        with tempfile.NamedTemporaryFile(suffix='.pth') as copy:
            copy.write(file.read())
            copy.flush()
            return load_file(copy.name, map_location)
    content = load_content(file, map_location=map_location)
    if not is_trusted():
        from mmengine.logging import print_log  # noqa: PLC0415, it asks for this

        for reason in without_code(content):
            print_log(
                f'{file}: {reason}, which mmengine would run as code; it is left out. Where you trust whoever made '
                f'the file, say so with --trust or {TRUST_VARIABLE}=1',
                logger='current',
                level=logging.WARNING,
            )
    return content


def _backbones_fitted(load: Callable[..., None]) -> Callable[..., None]:
    """The loading into a model, ``load``, after ``hrnet_plugins.models.load_from.fit_backbones``."""

    @functools.wraps(load)
    def load_state_dict(module: Any, state_dict: Any, *args: Any, **options: Any) -> None:
        if 'hrnet_plugins.models.hrnet' in sys.modules:  # without it no model has an HRNet of ours
            from hrnet_plugins.models.load_from import fit_backbones  # noqa: PLC0415

            state_dict = fit_backbones(module, state_dict)
        load(module, state_dict, *args, **options)

    return load_state_dict


def register_runner(runner: ModuleType) -> None:
    """Call ``before_build`` of hooks that have it at the beginning of a training.

    mmengine 0.10.7 and 0.10.12 call the first point of their hooks after they have built the datasets, where wrong data
    have ended in a traceback. It can go once mmengine has a point before that.

    Args:
        runner: The module ``mmengine.runner.runner``.
    """
    train = runner.Runner.train

    @functools.wraps(train)
    def checked_train(self: Any) -> Any:
        self.call_hook('before_build')
        return train(self)

    runner.Runner.train = checked_train


def register_storage(fileio: ModuleType) -> None:
    """Give mmengine the storage backend ``zip``, which registers itself.

    Args:
        fileio: The package ``mmengine.fileio``.
    """
    importlib.import_module('hrnet_plugins.io')
