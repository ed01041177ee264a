"""Traced programs: one for every size, whoever else traces at the same time."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from hrnet_plugins.inference.part import Part
from hrnet_plugins.inference.tracing import root_cause, trace
from hrnet_plugins.models import HRFPN
from tests.helpers.networks import fill, image


class Pyramid(nn.Module):
    """Pooled levels of the images themselves."""

    def __init__(self):
        super().__init__()
        self.neck = HRFPN((3,), 4, num_outs=3)

    def forward(self, images):
        return self.neck([images])


def test_threads_trace_at_the_same_time():
    part = Part(fill(Pyramid()).eval(), ('a', 'b', 'c'), '', channels=3)
    with ThreadPoolExecutor(3) as pool:
        programs = list(pool.map(lambda _: trace(part), range(6)))
    x = image((3, 3, 45, 67))
    expected = part.module(x)
    for program in programs:
        assert sum('avg_pool2d' in str(node.target) for node in program.graph.nodes) == 2
        for a, b in zip(program.module()(x), expected, strict=True):
            torch.testing.assert_close(a, b)


def test_the_cause_of_an_error_is_its_first_line():
    with pytest.raises(RuntimeError) as caught:
        try:
            raise KeyError('size\nand more')
        except KeyError as error:
            raise RuntimeError('cannot export') from error
    assert root_cause(caught.value) == "KeyError: 'size\\nand more'"
    assert root_cause(ValueError('first\nsecond')) == 'ValueError: first'
