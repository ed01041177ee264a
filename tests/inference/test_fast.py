"""The pieces of the fast copy: padding, lanes, graphs, Winograd's convolutions."""

import threading
import timeit
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hrnet_plugins.inference import accelerate
from hrnet_plugins.inference.fast import fold, hrnet, winograd
from hrnet_plugins.inference.fast.lanes import CudaLanes, side_by_side, using
from hrnet_plugins.inference.fast.make import mirror
from hrnet_plugins.inference.fast.winograd import MIN_CHANNELS, WinogradConv, pays
from hrnet_plugins.inference.graphs import CudaCapture, Graphs
from hrnet_plugins.models import HRFPN, HRNet
from tests.helpers.networks import TINY, assert_equal, fill, image


@pytest.mark.parametrize('multiple', [8, 5])
def test_channels_of_zeros_change_nothing(multiple):
    plain = fill(HRNet(TINY)).eval()
    twin = mirror(plain, torch.float32, multiple=multiple)
    widths = {m.weight.shape[0] for m in twin.modules() if hasattr(m, 'geometry')}
    assert all(width % multiple == 0 for width in widths)
    x = image((2, 3, 97, 131))
    with torch.no_grad():
        for a, b in zip(twin(x), plain(x), strict=True):
            assert_equal(a, b)


def test_a_network_whose_norms_stay_is_not_padded():
    plain = fill(HRNet(TINY, norm_cfg=dict(type='GN', num_groups=4))).eval()
    twin = mirror(plain, torch.float32, multiple=8)
    x = image((1, 3, 64, 64))
    with torch.no_grad():
        for a, b in zip(twin(x), plain(x), strict=True):
            assert_equal(a, b)


def test_large_batches_are_taken_in_parts(monkeypatch):
    plain = fill(HRNet(TINY)).eval()
    twin = mirror(plain, torch.float32)
    seen = []
    maps = type(twin)._maps
    monkeypatch.setattr(type(twin), '_maps', lambda self, x: (seen.append(len(x)), maps(self, x))[1])
    monkeypatch.setattr(hrnet, 'PIXELS', 2 * 64 * 96)
    with torch.no_grad():
        for size, parts in (((5, 3, 64, 96), [2, 2, 1]), ((2, 3, 64, 96), [2]), ((2, 3, 97, 131), [1, 1])):
            x = image(size)
            for a, b in zip(twin(x), plain(x), strict=True):
                assert_equal(a, b)
                assert a.is_contiguous(memory_format=torch.channels_last)
            assert seen == parts
            seen.clear()
        batches = []
        plain.layer1.register_forward_hook(lambda module, args, output: batches.append(len(output)))
        twin(image((5, 3, 64, 96)))
    assert batches == [5]


class Recording:
    """Lanes that note how much work they were given at a time."""

    def __init__(self):
        self.counts = []

    def __call__(self, tasks):
        self.counts.append(len(tasks))
        return [task() for task in tasks]


def test_branches_and_sums_are_given_to_the_lanes():
    plain = fill(HRNet(TINY)).eval()
    twin = mirror(plain, torch.float32)
    lanes = Recording()
    with torch.no_grad(), using(lanes):
        twin(image((1, 3, 64, 64)))
    assert lanes.counts == [2, 2, 3, 3, 3, 3, 4, 4], 'a module runs its branches, then its sums'


def test_any_order_of_the_tasks_gives_the_same():
    """What one task reads, no other writes: in place sums may not reach a neighbour's input."""
    plain = fill(HRNet(TINY)).eval()
    twin = mirror(plain, torch.float32)
    x = image((1, 3, 97, 64))

    def backwards(tasks):
        return [task() for task in reversed(tasks)][::-1]

    with torch.no_grad():
        expected = [out.clone() for out in twin(x)]
        with using(backwards):
            for a, b in zip(twin(x), expected, strict=True):
                assert torch.equal(a, b)


def test_lanes_are_of_the_thread_that_asked():
    seen = []
    with using(Recording()):
        thread = threading.Thread(target=lambda: seen.append(side_by_side([lambda: 1, lambda: 2])))
        thread.start()
        thread.join()
    assert seen == [[1, 2]]


class Recorder:
    """A capture that counts, and marks what was replayed."""

    def __init__(self):
        self.shapes = []

    def __call__(self, run, images):
        self.shapes.append(tuple(images.shape))
        return lambda images: (*run(images), 'replayed')


def run_eagerly(images):
    return (images * 2,)


def test_a_shape_is_recorded_when_it_comes_again():
    capture = Recorder()
    graphs = Graphs(run_eagerly, capture)
    x = torch.ones(1, 3, 4, 4)
    assert len(graphs(x)) == 1
    assert graphs(x)[1] == 'replayed'
    assert graphs(x)[1] == 'replayed'
    assert capture.shapes == [(1, 3, 4, 4)]
    assert torch.equal(graphs(x + 1)[0], torch.full_like(x, 4)), 'with the images of this call'
    assert len(graphs(x.bfloat16())) == 1, 'another precision is another shape'


def test_shapes_beyond_the_bound_stay_eager():
    capture = Recorder()
    graphs = Graphs(run_eagerly, capture, max_shapes=2)
    for _ in range(3):
        results = [graphs(torch.ones(1, 3, 4, width)) for width in range(1, 5)]
    assert [len(result) for result in results] == [2, 2, 1, 1]
    assert len(capture.shapes) == 2


def test_what_cannot_be_recorded_runs_eagerly_and_says_why():
    def capture(run, images):
        raise RuntimeError('it synchronises')

    graphs = Graphs(run_eagerly, capture)
    x = torch.ones(1, 3, 4, 4)
    graphs(x)
    with pytest.warns(UserWarning, match=r'images of \(1, 3, 4, 4\) run without a CUDA graph.*it synchronises'):
        graphs(x)
    assert len(graphs(x)) == 1, 'without another warning'


def test_the_cause_of_a_failed_recording_is_told():
    def capture(run, images):
        try:
            raise ValueError('it synchronises')
        except ValueError:
            raise RuntimeError('the recording was not ended') from None

    graphs = Graphs(run_eagerly, capture)
    x = torch.ones(1, 3, 4, 4)
    graphs(x)
    with pytest.warns(UserWarning, match='cannot hold the model: it synchronises'):
        graphs(x)


def test_hooks_run_in_every_call():
    hooks, calls = {}, []
    graphs = Graphs(run_eagerly, Recorder(), hooks=[{}, hooks])
    x = torch.ones(1, 3, 4, 4)
    graphs(x)
    assert graphs(x)[1] == 'replayed'
    hooks[0] = calls.append
    assert len(graphs(x)) == 1, 'a graph would not run it'
    hooks.clear()
    assert graphs(x)[1] == 'replayed'


@pytest.mark.parametrize('size', [(1, 40, 48), (2, 33, 47), (1, 64, 31), (3, 8, 8)])
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('band', [1, 1 << 16, 1 << 20], ids=['one row', 'two small images', 'whole images'])
def test_winograds_convolution(size, bias, band, monkeypatch):
    monkeypatch.setattr(winograd, 'BAND_BYTES', band)
    batch, height, width = size
    conv = fill(nn.Conv2d(24, 40, 3, padding=1, bias=bias))
    x = image((batch, 24, height, width))
    with torch.no_grad():
        exact = F.conv2d(x.double(), conv.weight.double(), None if conv.bias is None else conv.bias.double(), padding=1)
        out = WinogradConv(conv.weight, conv.bias, conv)(x.contiguous(memory_format=torch.channels_last))
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert_equal(out.double(), exact, 3e-6)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason='weights are packed for oneDNN')
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
def test_weights_are_packed_for_every_shape(dtype, monkeypatch):
    monkeypatch.setattr(fold, 'MAX_SHAPES', 3)
    conv = fill(nn.Conv2d(192, 192, 3, padding=1)).requires_grad_(False)
    fast = fold.convolution(conv.weight.to(dtype), conv.bias.to(dtype), conv)
    packs, times = {}, {}
    for size in ((8, 8), (64, 64), (64, 66), (32, 32), (16, 16), (8, 8)):
        x = image((1, 192, *size)).to(dtype).contiguous(memory_format=torch.channels_last)
        runs = {
            'packed': lambda x=x: fast.with_relu(x),
            'plain': lambda x=x: F.conv2d(x, fast.weight, fast.bias, padding=1).relu_(),
        }
        assert_equal(runs['packed']().float(), runs['plain']().float(), 1e-5 if dtype == torch.float32 else 1e-2)
        packs[size] = fast.orders._found[x.shape]
        times[size] = {name: min(timeit.repeat(run, number=1, repeat=9)) for name, run in runs.items()}
        assert len(fast.orders._found) <= 3
    assert packs[64, 64] is packs[64, 66], 'an order is held once'
    slow = {size: found for size, found in times.items() if found['packed'] > 4 * found['plain']}
    assert not slow, 'the wrong order takes ten times as long'


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
def test_a_head_without_proposals_has_no_outputs(dtype):
    conv = fill(nn.Conv2d(16, 24, 3, padding=1)).requires_grad_(False)
    fast = fold.convolution(conv.weight.to(dtype), conv.bias.to(dtype), conv)
    x = torch.zeros(0, 16, 14, 14, dtype=dtype)
    assert fast(x).shape == fast.with_relu(x).shape == (0, 24, 14, 14)


def test_a_cpu_without_instructions_for_bfloat16_computes_as_pytorch_does(monkeypatch):
    monkeypatch.setattr(fold, '_ONEDNN', {**fold._ONEDNN, torch.bfloat16: lambda: False})
    plain = fill(HRNet(TINY)).eval()
    kinds = {
        dtype: {type(m) for m in mirror(plain, dtype).modules() if isinstance(m, fold.FoldedConv)}
        for dtype in (torch.float32, torch.bfloat16)
    }
    assert kinds == {torch.float32: {fold.PackedConv}, torch.bfloat16: {fold.FoldedConv}}


def test_winograds_convolution_rounds_no_more_than_the_plain_one_by_much():
    conv = nn.Conv2d(256, 64, 3, padding=1)
    x = image((1, 256, 32, 32))
    with torch.no_grad():
        exact = conv.double()(x.double())
        out = WinogradConv(conv.float().weight, conv.bias, conv)(x)
    assert_equal(out.double(), exact, 4e-6)


@pytest.mark.parametrize(
    ('options', 'chosen'),
    [
        ({}, True),
        (dict(stride=2), False),
        (dict(padding=2, dilation=2), False),
        (dict(groups=2), False),
        (dict(out_channels=MIN_CHANNELS - 1), False),
        (dict(kernel_size=1, padding=0), False),
        (dict(dtype=torch.bfloat16), False),
    ],
)
def test_only_wide_plain_convolutions_are_winograds(options, chosen):
    channels = MIN_CHANNELS
    conv = nn.Conv2d(**{**dict(in_channels=channels, out_channels=channels, kernel_size=3, padding=1), **options})
    assert pays(conv.weight, conv) is chosen
    assert isinstance(mirror(conv, conv.weight.dtype), WinogradConv) is chosen


def test_wide_necks_and_heads_have_them():
    neck = fill(HRFPN((4, 8, 16, 32), MIN_CHANNELS)).eval()
    twin = mirror(neck, torch.float32)
    assert sum(isinstance(module, WinogradConv) for module in twin.modules()) == 5
    feats = [image((1, c, s, s + 1)) for c, s in ((4, 36), (8, 18), (16, 9), (32, 5))]
    with torch.no_grad():
        for a, b in zip(twin(feats), neck(feats), strict=True):
            assert_equal(a, b)


@pytest.fixture
def on_gpu(monkeypatch):
    """A network on the GPU and its graphs, exact in float32."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    backbone = HRNet(TINY)
    plain = fill(nn.Sequential(backbone, HRFPN(backbone.out_channels, 16))).eval().cuda()
    twin = mirror(plain, torch.float32, multiple=8)
    return plain, Graphs(lambda images: twin(images.contiguous(memory_format=torch.channels_last)), CudaCapture())


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
    assert len(graphs.recorded) == 2


@pytest.mark.gpu
def test_threads_and_streams_get_their_own_outputs(on_gpu):
    plain, graphs = on_gpu

    def work(seed):
        with torch.cuda.stream(torch.cuda.Stream()):
            for shape in SHAPES * 8:
                assert_same(plain, graphs, shape, seed)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [None] * 4
    assert len(graphs.recorded) == 2


@pytest.mark.gpu
def test_graphs_recorded_in_inference_mode_serve_outside_of_it(on_gpu):
    plain, graphs = on_gpu
    for _ in range(2):
        with torch.inference_mode():
            assert_same(plain, graphs, SHAPES[0])
    assert_same(plain, graphs, SHAPES[0], seed=1)


@pytest.mark.gpu
def test_after_a_failed_recording_others_succeed(on_gpu):
    plain, graphs = on_gpu
    reads = Graphs(lambda images: (images * images.sum().item(),), graphs.capture)
    stream = torch.cuda.current_stream()
    x = torch.ones(1, 3, 4, 4, device='cuda')
    reads(x)
    with pytest.warns(UserWarning, match='run without a CUDA graph'):
        assert torch.equal(reads(x)[0], x * 48)
    assert torch.cuda.current_stream() == stream
    for seed in range(3):
        for shape in SHAPES:
            assert_same(plain, graphs, shape, seed)
    assert len(graphs.recorded) == 2


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


@pytest.mark.gpu
def test_streams_join():
    lanes = CudaLanes()
    with torch.no_grad():
        x = torch.ones(1 << 20, device='cuda')
        tasks = [lambda k=k: x.mul(k).cumsum(0)[-1] for k in range(4)]
        assert [int(out) for out in lanes(tasks)] == [k << 20 for k in range(4)]
