"""Starting mim with the frameworks' tools, so that what they start is safe, and ends when it should.

``hrnet-plugins`` starts this module as a program of its own (``start``). That runs mim (``main``), with the tools in
``.mim/tools`` in the place of the framework's. These import this library and become the framework's tool
(``run_tool``).
"""

from __future__ import annotations

import importlib
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hrnet_plugins.environment import is_running
from hrnet_plugins.recipes import MIM_ROOT, framework_of, framework_tool, installed_frameworks, recipe_path

_STARTER = 'HRNET_PLUGINS_STARTER'
"""Environment variable: number of the ``hrnet-plugins`` process, with which its tools end."""
_FRAMEWORK = 'HRNET_PLUGINS_FRAMEWORK'
"""Environment variable: the framework of the recipe, for a tool that is only asked for its help."""
_SAFE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
"""torch's own switch: no call of ``torch.load`` runs what a file holds."""
_SIGNALS = ('SIGTERM', 'SIGINT', 'SIGHUP')
_PATIENCE = 0.5
"""Seconds between two looks at whether the starter is still there."""


def start(command: str, package: str, config: Path, options: Sequence[str], *, framework: str, trust: bool) -> int:
    """Run ``mim train`` or ``mim test``, and everything that it starts, until it ends.

    A signal that asks this process to end is passed on to all of them. If this process is killed, they end as well.

    Args:
        command: ``train`` or ``test``.
        package: The framework as mim calls it.
        config: The config's file.
        options: mim's options and the tool's.
        framework: ``mmdet``, ``mmseg`` or ``mmpretrain``.
        trust: Whether files may run code; without it torch is told that none may.

    Returns:
        The exit code.
    """
    env = {**os.environ, _STARTER: str(os.getpid()), _FRAMEWORK: framework}
    if not trust:
        env[_SAFE] = '1'
    argv = [sys.executable, '-m', 'hrnet_plugins.launch', command, package, str(config), *options]
    # At a terminal the group is shared: Ctrl-C reaches all of it, and a debugger in the training can read the keys.
    own_group = not sys.stdin.isatty()
    with subprocess.Popen(argv, env=env, start_new_session=own_group) as child:

        def pass_on(number: int, _: Any) -> None:
            if own_group:
                os.killpg(child.pid, number)
            elif number != signal.SIGINT:  # which the terminal sends to all
                child.send_signal(number)

        with _handlers(pass_on):
            code = child.wait()
    return code if code >= 0 else 128 - code


class _handlers:  # noqa: N801, used as a function
    """Give the signals that ask to end to a function, for a while."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():  # others may set none
            for name in _SIGNALS:
                if hasattr(signal, name):
                    number = getattr(signal, name)
                    self.before[number] = signal.signal(number, self.function)

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def main() -> None:
    """Run mim with this process's arguments, with our tools in the place of the framework's."""
    # Where mim looks for `.mim/tools`: in this package instead of the framework's. mim reads its commands' files anew,
    # so it is their source of the name that has to change.
    importlib.import_module('mim.utils').__dict__['get_installed_path'] = lambda package: str(MIM_ROOT.parent)
    help_of = importlib.import_module('mim.click.customcommand')
    help_of.__dict__['get_installed_path'] = lambda package: str(MIM_ROOT.parent)
    from mim.cli import cli  # type: ignore[import-untyped]  # noqa: PLC0415, in an environment with a stack

    try:
        cli()
    except subprocess.CalledProcessError as error:  # the tool has said what was wrong
        sys.exit(error.returncode if error.returncode > 0 else 128 - error.returncode)


def run_tool(tool: str) -> None:
    """Become the framework's tool: the first argument of the command line is the config, the rest is the tool's.

    An error that this library raises for a user is one line, without the way there.
    """
    args = sys.argv[1:]
    if args and not args[0].startswith('-'):
        framework = framework_of(recipe_path(args[0]))
    else:
        framework = os.environ.get(_FRAMEWORK) or next(iter(installed_frameworks()), 'mmdet')
    path = framework_tool(framework, tool)
    sys.argv[0] = str(path)
    _end_with_starter()
    importlib.import_module('mmengine.runner')  # which is then taught to read files safely
    if '--amp' in args:
        importlib.import_module('hrnet_plugins.training.amp').stand_in_without_gpu()
    try:
        runpy.run_path(str(path), run_name='__main__')
    except (ValueError, OSError) as error:
        if not _is_ours(error):
            raise
        print(f'Error: {error}', file=sys.stderr)
        sys.stderr.flush()
        sys.exit(1)


def _is_ours(error: BaseException) -> bool:
    """Whether an error was raised by this library, for a user."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(Path(__file__).parent)


def _end_with_starter() -> None:
    """End this process once the ``hrnet-plugins`` that started it is gone, however that was ended."""
    starter = os.environ.get(_STARTER, '')
    if not starter.isdigit() or 'SLURM_PROCID' in os.environ:  # there it may run on another machine
        return

    def watch() -> None:
        while is_running(int(starter)):
            time.sleep(_PATIENCE)
        print('hrnet-plugins was ended, so this training ends too', file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL if sys.platform != 'win32' else signal.SIGTERM)

    threading.Thread(target=watch, name='end with hrnet-plugins', daemon=True).start()


if __name__ == '__main__':
    main()
