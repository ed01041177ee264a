"""What the tests of own data share."""

import pytest
from mmengine.config import config

from tests.helpers.own_runs import train


@pytest.fixture(scope='session', autouse=True)
def _read_model_indices_once():
    """Read a framework's model index once: mmengine reads it, seconds, for each config that inherits from it."""
    answers = {}
    original = config._get_external_cfg_path

    def answer(package, path):
        if (package, path) not in answers:
            try:
                answers[package, path] = original(package, path)
            except ValueError as error:  # no model has this config: what most base configs end in
                answers[package, path] = error
        found = answers[package, path]
        if isinstance(found, ValueError):
            raise found
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, '_get_external_cfg_path', answer)
        yield


@pytest.fixture(scope='session')
def work(once):
    """A function: the folder with `data`, `own.py` and the work folder `run` of a tiny training, by task."""
    return lambda task: once(f'own-{task}', lambda folder: train(task, folder))
