"""Running the frameworks' own tools through mim, with what we add to a config."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NoReturn

from hrnet_plugins.cli.shared import one_line_errors, trust
from hrnet_plugins.launch import start
from hrnet_plugins.options import check_options, config_options
from hrnet_plugins.recipes import distribution_of, framework_of, read_config
from hrnet_plugins.weights.trust import is_trusted

_MMENGINE_HOOK = ('CheckpointHook', 'mmengine.CheckpointHook')


def run_mim(command: str, config: Path, options: tuple[str, ...], *, given: tuple[str, ...]) -> NoReturn:
    """Run mim, and end as it ends.

    Args:
        command: ``train`` or ``test``.
        config: The config's file.
        options: All options, with those that we add.
        given: Those that the person gave: they are held to the config.
    """
    if '--trust' in options:
        trust()
        options = tuple(option for option in options if option != '--trust')
    with one_line_errors():
        read = read_config(config, imports=False)
        check_options(read.to_dict(), given)
        framework = framework_of(config)
        package = distribution_of(framework)
    options = (*_safe_hook(read, options), *options)
    sys.exit(start(command, package, config, options, framework=framework, trust=is_trusted()))


def with_progress(options: tuple[str, ...]) -> tuple[str, ...]:
    """The options with the hook that shows progress, unless they refuse it."""
    if '--no-progress' in options:
        return tuple(option for option in options if option != '--no-progress')
    # Among the default hooks, which are merged by name: a list of custom hooks would replace the config's own.
    # First, so that the user's own options are the last word.
    return ('--cfg-options', 'default_hooks.progress.type=hrnet_plugins.ProgressHook', *options)


def without_gpus(options: tuple[str, ...]) -> tuple[str, ...]:
    """The options of a distributed training, with the runner that CPUs need where there is no GPU."""
    import torch  # noqa: PLC0415, it is slow to import

    if torch.cuda.is_available():
        return options
    # First, so that a runner_type of the user's own is the last word.
    return ('--cfg-options', 'runner_type=hrnet_plugins.GlooRunner', *options)


def _safe_hook(config: Any, options: tuple[str, ...]) -> tuple[str, ...]:
    """The option with which our checkpoint hook takes the place of mmengine's, in a config that has mmengine's."""
    hook = (config.get('default_hooks') or {}).get('checkpoint') or {}
    named = any(option.startswith('default_hooks.checkpoint.type=') for option in config_options(options))
    if hook.get('type') not in _MMENGINE_HOOK or named:
        return ()
    return ('--cfg-options', 'default_hooks.checkpoint.type=hrnet_plugins.CheckpointHook')
