"""States of the random generators that training draws from, as a checkpoint can hold them: numbers and tensors only."""

from __future__ import annotations

import logging
import random
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size

State = dict[str, Any]


def current() -> State:
    """The states of Python's, NumPy's and PyTorch's generators in this process."""
    version, numbers, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    return dict(
        python=[version, list(numbers), gauss],
        numpy=[str(kind), torch.from_numpy(np.asarray(keys, np.int64)), int(position), int(has_gauss), float(cached)],
        torch=torch.get_rng_state(),
        cuda=torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    )


def restore(state: State) -> None:
    """Give the generators of this process the states that ``current`` returned."""
    version, numbers, gauss = state['python']
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *rest = state['numpy']
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state['torch'].cpu())
    if state.get('cuda') is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


def of_all_processes() -> list[State]:
    """``current`` of each process of a distributed run; all of them have to call it."""
    return list(all_gather_object(current()))


def own(states: list[State] | None) -> State | None:
    """What a checkpoint has for this process; ``None``, with a word in the log, if it is from other numbers of them."""
    if states is None:
        return None
    if len(states) != get_world_size():
        logging.getLogger(__name__).warning(
            'the checkpoint is of %d processes, this run has %d: random numbers start anew',
            len(states),
            get_world_size(),
        )
        return None
    return states[get_rank()]
