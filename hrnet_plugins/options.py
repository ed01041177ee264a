"""Options of ``--cfg-options``, held to the config that they change."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

_TOP = frozenset({
    'auto_scale_lr', 'cfg', 'compile', 'custom_hooks', 'custom_imports', 'data_preprocessor', 'default_hooks',
    'default_scope', 'env_cfg', 'experiment_name', 'find_unused_parameters', 'launcher', 'load_from', 'log_level',
    'log_processor', 'model', 'model_wrapper_cfg', 'optim_wrapper', 'param_scheduler', 'randomness', 'resume',
    'runner_type', 'sync_bn', 'test_cfg', 'test_dataloader', 'test_evaluator', 'train_cfg', 'train_dataloader',
    'tta_model', 'tta_pipeline', 'val_cfg', 'val_dataloader', 'val_evaluator', 'vis_backends', 'visualizer', 'work_dir',
})  # fmt: skip
"""What mmengine's runner and the frameworks' tools read, whether a config has it or not."""
_CLOSE = 0.75
"""How alike two names are, from 0 to 1, where one is taken for the other misspelt."""


def config_options(options: Sequence[str]) -> list[str]:
    """The ``key=value`` words behind each ``--cfg-options`` of a command line."""
    found: list[str] = []
    inside = False
    for word in options:
        if word == '--cfg-options' or word.startswith('--cfg-options='):
            inside = True
            found += [word.removeprefix('--cfg-options=')] if '=' in word else []
        elif word.startswith('-'):
            inside = False
        elif inside:
            found.append(word)
    return found


def check_options(config: Mapping[str, Any], options: Sequence[str]) -> None:
    """Check that each option of ``--cfg-options`` changes something that the config or the runner has.

    A new key is taken where a class may have an argument of that name; if it has none, the class says so.

    Args:
        config: The config.
        options: Words of a command line.

    Raises:
        ValueError: If an option has no ``=``, or no key of the config takes it: with the nearest one.
    """
    words = config_options(options)
    retyped = {key.removesuffix('.type') for key in (word.partition('=')[0] for word in words) if key.endswith('.type')}
    for word in words:
        key, equals, _ = word.partition('=')
        if not equals:
            raise ValueError(f'`--cfg-options` ({word}) must be KEY=VALUE')
        for problem in _problems(config, key, retyped):
            raise ValueError(f'`--cfg-options` ({word}): {problem}')


def _problems(config: Mapping[str, Any], key: str, retyped: Collection[str]) -> Iterator[str]:
    """What is wrong with a key; nothing inside of what gets another ``type``, whose arguments no config has yet."""
    inside: Any = config
    names = key.split('.')
    for depth, name in enumerate(names):
        done = '.'.join(names[:depth])
        if isinstance(inside, (list, tuple)):
            if not name.isdigit() or int(name) >= len(inside):
                yield f'`{done}` is a list of {len(inside)}: write a number from 0 to {len(inside) - 1} after it'
                return
            inside = inside[int(name)]
        elif isinstance(inside, Mapping):
            if name not in inside:
                if done in retyped:
                    return
                yield from _unknown(inside, names, depth)
                return
            inside = inside[name]
        else:
            if inside is not None:
                yield f'`{done}` is {inside!r}, which has no keys'
            return


def _unknown(inside: Mapping[str, Any], names: Sequence[str], depth: int) -> Iterator[str]:
    """Say that a key is not there, unless it is one that a class or the runner may take."""
    name, known = names[depth], [str(key) for key in inside]
    if depth == 0:
        if name in _TOP:
            return
        known += sorted(_TOP - set(known))
    close = difflib.get_close_matches(name, known, n=1, cutoff=_CLOSE)
    if close:
        nearest = '.'.join([*names[:depth], *close, *names[depth + 1 :]])
        yield f'no key of the config takes it; did you mean {nearest}?'
    elif depth == 0:
        nearest_one = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
        yield f'no key of the config takes it; the nearest is {nearest_one[0]}'
