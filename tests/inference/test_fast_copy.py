"""The fast copy: made once for all threads, of the part that a backend runs."""

import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import torch

from hrnet_plugins.inference import accelerate
from hrnet_plugins.inference.runtimes.backends import Backend
from tests.helpers.accelerated import DETECTORS, built
from tests.helpers.networks import fill, image


def test_hooks_of_the_model_run():
    plain = built('tiny')
    seen = []
    fast = accelerate(plain)
    fast(image((1, 3, 64, 64)))
    plain.register_forward_hook(lambda module, args, output: seen.append('model'))
    plain.stage2.register_forward_hook(lambda module, args, output: seen.append('stage'))
    fast(image((1, 3, 64, 64)))
    assert seen == ['stage', 'model']


def test_threads_that_come_first_together_share_one_copy(monkeypatch):
    made = []

    def compile_part(part, dtype):
        made.append(part)
        time.sleep(0.2)
        return part.module

    monkeypatch.setitem(sys.modules, 'slow_backend', SimpleNamespace(compile=compile_part))
    monkeypatch.setattr('hrnet_plugins.inference.runtimes.backends.BACKENDS', {'slow': Backend('slow_backend')})
    plain = built('tiny')
    fast = accelerate(plain, backend='slow')
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: fast(image((1, 3, 64, 64))), range(4)))
    assert len(made) == 1
    assert all(torch.equal(result[0], results[0][0]) for result in results)


def test_a_backend_gets_the_part_and_the_precision(monkeypatch):
    calls = []

    def compile_part(part, dtype):
        calls.append((tuple(part.module(image((1, 3, 64, 64)))[0].shape), dtype))
        return part.module

    monkeypatch.setitem(sys.modules, 'other_backend', SimpleNamespace(compile=compile_part))
    monkeypatch.setattr('hrnet_plugins.inference.runtimes.backends.BACKENDS', {'other': Backend('other_backend')})
    plain = fill(DETECTORS['faster']()).eval()
    fast = accelerate(plain, backend='other')
    x = image((1, 3, 64, 64))
    with torch.no_grad():
        for a, b in zip(fast.extract_feat(x), plain.extract_feat(x), strict=True):
            assert torch.equal(a, b)
    assert calls == [((1, 16, 16, 16), torch.float32)]
    assert not math.isnan(float(fast.extract_feat(x)[0].sum()))
