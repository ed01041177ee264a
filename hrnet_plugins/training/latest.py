"""Which checkpoint a run goes on from."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from mmengine.dist import broadcast_object_list, is_main_process

from hrnet_plugins.weights.checkpoint_io import load_content

T = TypeVar('T')


def first_process_decides(decide: Callable[[], T]) -> T:
    """What a function returns in the first process of a distributed run, in all of them; its errors as well.

    Raises:
        ValueError: As the function.
    """
    answer: list[object] = [None, None]
    if is_main_process():
        try:
            answer[0] = decide()
        except ValueError as error:
            answer[1] = str(error)
    broadcast_object_list(answer)
    if answer[1] is not None:
        raise ValueError(answer[1])
    return answer[0]  # type: ignore[return-value]  # the function's own


def newest_whole(folder: Path, work_dir: Path, template: str) -> tuple[Path, list[str]] | None:
    """The newest checkpoint that reads whole.

    That is the one ``last_checkpoint`` names, or a later one, written before a kill that came before its name.

    Args:
        folder: Where the checkpoints are.
        work_dir: Where ``last_checkpoint`` is.
        template: mmengine's template of their names, such as ``epoch_{}.pth``.

    Returns:
        Its path, and a line for each that was skipped; ``None`` if the run has not saved any.

    Raises:
        ValueError: If there are some, or one is named, and none reads whole.
    """
    pattern = re.compile(re.escape(template).replace(r'\{\}', r'(\d+)'))
    steps = {path: int(found[1]) for path in folder.glob('*') if (found := pattern.fullmatch(path.name))}
    note = work_dir / 'last_checkpoint'
    text = note.read_text(errors='replace').strip() if note.is_file() else ''
    named = _existing(text, folder)
    if not steps and not text:
        return None
    by_time = sorted(steps, key=lambda path: (path.stat().st_mtime_ns, steps[path]), reverse=True)
    if named is not None and named in steps:
        # An older run of the same folder may have left higher numbers, and a copy may have mixed the times.
        later = [p for p in by_time if steps[p] > steps[named] and p.stat().st_mtime_ns > named.stat().st_mtime_ns]
        order = [*later, named, *by_time]
    else:
        order = [*([named] if named is not None else []), *by_time]
    skipped = [f'{text} is named by {note} and is not there'] if text and named is None else []
    for path in dict.fromkeys(order):
        reason = _damage(path)
        if reason is None:
            return path, skipped
        skipped.append(reason)
    raise ValueError(
        f'no checkpoint in {folder} can be resumed from: {"; ".join(skipped)}. Train anew without --resume, or name a '
        'file with --resume FILE'
    )


def _existing(text: str, folder: Path) -> Path | None:
    """The file that ``last_checkpoint`` names: as written, or of that name in a folder that was moved."""
    if not text:
        return None
    for path in (folder / Path(text).name, Path(text)):
        if path.exists():
            return path
    return None


def _damage(path: Path) -> str | None:
    """Why a training cannot go on from a checkpoint."""
    if path.is_dir():  # of a sharded model, whose loader knows it
        return None
    try:
        content = load_content(path)
    except (ValueError, OSError) as error:
        return str(error)
    lacking = [
        key for key in ('state_dict', 'meta', 'message_hub') if not isinstance(content, dict) or key not in content
    ]
    return f'{path} has no {", ".join(lacking)}: it is not the checkpoint of a training' if lacking else None
