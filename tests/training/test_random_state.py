"""States of the random generators in checkpoints."""

import logging
import random

import numpy as np
import torch

from hrnet_plugins.training import random_state


def draws():
    return random.random(), np.random.rand(), float(torch.rand(()))  # noqa: S311, what trainings draw from


def test_what_was_saved_comes_again():
    (state,) = random_state.of_all_processes()
    first = draws()
    assert draws() != first
    random_state.restore(random_state.own([state]))
    assert draws() == first


def test_a_checkpoint_without_states_starts_anew():
    assert random_state.own(None) is None


def test_a_checkpoint_of_other_processes_starts_anew_with_a_word(caplog):
    with caplog.at_level(logging.WARNING):
        assert random_state.own([{}, {}]) is None
    assert 'the checkpoint is of 2 processes, this run has 1: random numbers start anew' in caplog.text
