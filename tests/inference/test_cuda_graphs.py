"""CUDA graphs: which shapes are captured, and, on a GPU, the outputs of their replays."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from hrnet_plugins.inference import accelerate
from hrnet_plugins.inference.fused.optimize import optimize
from hrnet_plugins.inference.runtimes.cuda_graphs import CudaCapture, GraphCache
from hrnet_plugins.models import HRFPN, HRNet
from tests.helpers.networks import TINY, assert_equal, fill, image


class Capture:
    """A capture that notes shapes, and marks what was replayed."""

    def __init__(self):
        self.shapes = []

    def __call__(self, run, images):
        self.shapes.append(tuple(images.shape))
        return lambda images: (*run(images), 'replayed')


def run_eagerly(images):
    return (images * 2,)


def test_a_shape_is_captured_when_it_comes_again():
    capture = Capture()
    graphs = GraphCache(run_eagerly, capture)
    x = torch.ones(1, 3, 4, 4)
    assert len(graphs(x)) == 1
    assert graphs(x)[1] == 'replayed'
    assert graphs(x)[1] == 'replayed'
    assert capture.shapes == [(1, 3, 4, 4)]
    assert torch.equal(graphs(x + 1)[0], torch.full_like(x, 4)), 'with the images of this call'
    assert len(graphs(x.bfloat16())) == 1, 'another precision is another shape'


def test_shapes_beyond_the_bound_stay_eager():
    capture = Capture()
    graphs = GraphCache(run_eagerly, capture, max_graphs=2)
    for _ in range(3):
        results = [graphs(torch.ones(1, 3, 4, width)) for width in range(1, 5)]
    assert [len(result) for result in results] == [2, 2, 1, 1]
    assert len(capture.shapes) == 2


def test_what_cannot_be_captured_runs_eagerly_and_says_why():
    def capture(run, images):
        raise RuntimeError('it synchronises')

    graphs = GraphCache(run_eagerly, capture)
    x = torch.ones(1, 3, 4, 4)
    graphs(x)
    with pytest.warns(UserWarning, match=r'images of \(1, 3, 4, 4\) run without a CUDA graph.*it synchronises'):
        graphs(x)
    assert len(graphs(x)) == 1, 'without another warning'


def test_the_cause_of_a_failed_capture_is_told():
    def capture(run, images):
        try:
            raise ValueError('it synchronises')
        except ValueError:
            raise RuntimeError('the capture was not ended') from None

    graphs = GraphCache(run_eagerly, capture)
    x = torch.ones(1, 3, 4, 4)
    graphs(x)
    with pytest.warns(UserWarning, match='cannot hold the model: it synchronises'):
        graphs(x)


def test_hooks_run_in_every_call():
    hooks, calls = {}, []
    graphs = GraphCache(run_eagerly, Capture(), hooks=[{}, hooks])
    x = torch.ones(1, 3, 4, 4)
    graphs(x)
    assert graphs(x)[1] == 'replayed'
    hooks[0] = calls.append
    assert len(graphs(x)) == 1, 'a graph would not run it'
    hooks.clear()
    assert graphs(x)[1] == 'replayed'


@pytest.fixture
def on_gpu(monkeypatch):
    """A network on the GPU and its graphs, exact in float32."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    backbone = HRNet(TINY)
    plain = fill(nn.Sequential(backbone, HRFPN(backbone.out_channels, 16))).eval().cuda()
    fast = optimize(plain, torch.float32, channel_multiple=8)
    return plain, GraphCache(lambda images: fast(images.contiguous(memory_format=torch.channels_last)), CudaCapture())


SHAPES = ((1, 3, 64, 96), (2, 3, 97, 131))


def assert_same(plain, graphs, shape, seed=0):
    x = image(shape, seed=seed).cuda()
    with torch.no_grad():
        for a, b in zip(graphs(x), plain(x), strict=True):
            assert_equal(a, b, 1e-4)  # cuDNN chooses other algorithms


@pytest.mark.gpu
def test_graphs_give_the_eager_outputs_for_every_shape_and_call(on_gpu):
    plain, graphs = on_gpu
    for seed in range(4):
        for shape in SHAPES:
            assert_same(plain, graphs, shape, seed)
    assert len(graphs.captured) == 2


@pytest.mark.gpu
def test_threads_and_streams_get_their_own_outputs(on_gpu):
    plain, graphs = on_gpu

    def work(seed):
        with torch.cuda.stream(torch.cuda.Stream()):
            for shape in SHAPES * 8:
                assert_same(plain, graphs, shape, seed)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [None] * 4
    assert len(graphs.captured) == 2


@pytest.mark.gpu
def test_graphs_captured_in_inference_mode_serve_outside_of_it(on_gpu):
    plain, graphs = on_gpu
    for _ in range(2):
        with torch.inference_mode():
            assert_same(plain, graphs, SHAPES[0])
    assert_same(plain, graphs, SHAPES[0], seed=1)


@pytest.mark.gpu
def test_after_a_failed_capture_others_succeed(on_gpu):
    plain, graphs = on_gpu
    reads = GraphCache(lambda images: (images * images.sum().item(),), graphs.capture)
    stream = torch.cuda.current_stream()
    x = torch.ones(1, 3, 4, 4, device='cuda')
    reads(x)
    with pytest.warns(UserWarning, match='run without a CUDA graph'):
        assert torch.equal(reads(x)[0], x * 48)
    assert torch.cuda.current_stream() == stream
    for seed in range(3):
        for shape in SHAPES:
            assert_same(plain, graphs, shape, seed)
    assert len(graphs.captured) == 2


@pytest.mark.gpu
def test_results_outlive_the_next_replay(on_gpu):
    plain, _ = on_gpu
    fast = accelerate(plain)
    x = image((1, 3, 64, 96)).cuda()
    fast(x)
    kept = fast(x)
    before = [out.clone() for out in kept]
    fast(x * 2)
    assert all(torch.equal(a, b) for a, b in zip(kept, before))
