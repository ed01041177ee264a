"""Independent tasks: what is given to the streams, in any order, and in which thread."""

import threading

import pytest
import torch

from hrnet_plugins.inference.fused.optimize import optimize
from hrnet_plugins.inference.fused.streams import CudaStreams, run_parallel, use_streams
from hrnet_plugins.models import HRNet
from tests.helpers.networks import TINY, fill, image


class CountingStreams:
    """Streams that note how many tasks they were given at a time."""

    def __init__(self):
        self.counts = []

    def __call__(self, tasks):
        self.counts.append(len(tasks))
        return [task() for task in tasks]


def test_branches_and_sums_are_given_to_the_streams():
    plain = fill(HRNet(TINY)).eval()
    fast = optimize(plain, torch.float32)
    streams = CountingStreams()
    with torch.no_grad(), use_streams(streams):
        fast(image((1, 3, 64, 64)))
    assert streams.counts == [2, 2, 3, 3, 3, 3, 4, 4], 'a module runs its branches, then its sums'


def test_any_order_of_the_tasks_gives_the_same():
    """What one task reads, no other writes: in place sums may not reach a neighbour's input."""
    plain = fill(HRNet(TINY)).eval()
    fast = optimize(plain, torch.float32)
    x = image((1, 3, 97, 64))

    def backwards(tasks):
        return [task() for task in reversed(tasks)][::-1]

    with torch.no_grad():
        expected = [out.clone() for out in fast(x)]
        with use_streams(backwards):
            for a, b in zip(fast(x), expected, strict=True):
                assert torch.equal(a, b)


def test_streams_are_of_the_thread_that_asked():
    seen = []
    with use_streams(CountingStreams()):
        thread = threading.Thread(target=lambda: seen.append(run_parallel([lambda: 1, lambda: 2])))
        thread.start()
        thread.join()
    assert seen == [[1, 2]]


@pytest.mark.gpu
def test_streams_join():
    streams = CudaStreams()
    with torch.no_grad():
        x = torch.ones(1 << 20, device='cuda')
        tasks = [lambda k=k: x.mul(k).cumsum(0)[-1] for k in range(4)]
        assert [int(out) for out in streams(tasks)] == [k << 20 for k in range(4)]
