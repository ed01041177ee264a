"""Accelerated models beside other things that programs do with modules: threads, forks, autocast, tracing."""

import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn.parallel.replicate import replicate

from hrnet_plugins.inference import accelerate
from hrnet_plugins.inference.fused import onednn
from hrnet_plugins.inference.runtimes.cuda_graphs import GraphCache
from tests.helpers.accelerated import DETECTORS, assert_same, built
from tests.helpers.networks import assert_equal, fill, image

THREADS = 8


def in_threads(function, items):
    """Run a function on all items, in threads that begin at the same time."""
    together = threading.Barrier(THREADS)

    def run(part):
        together.wait()
        return [function(item) for item in part]

    with ThreadPoolExecutor(THREADS) as pool:
        return [result for results in pool.map(run, [items[i::THREADS] for i in range(THREADS)]) for result in results]


def test_threads_do_not_break_the_bound_on_shapes(monkeypatch):
    monkeypatch.setattr(onednn, 'MAX_CACHED_SHAPES', 4)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        conv = fill(nn.Conv2d(8, 8, 3, padding=1)).requires_grad_(False)
        fast = onednn.direct_conv(conv.weight, conv.bias, conv)
        images = [image((1, 8, 4 + i % 40, 5 + i // 40)) for i in range(400)]
        sizes = in_threads(lambda x: (fast(x), len(fast.packed._by_shape))[1], images)
    finally:
        sys.setswitchinterval(before)
    assert max(sizes) <= 4
    x = images[7]
    assert_equal(fast(x), conv(x))


def test_threads_do_not_break_the_bound_on_graphs():
    captures = []

    def capture(run, images):
        captures.append(tuple(images.shape))
        return run

    graphs = GraphCache(lambda images: (images,), capture, max_graphs=3)
    in_threads(graphs, [torch.zeros(1, 1, 1, 1 + i % 20) for i in range(2000)])
    assert len(captures) == len(set(captures)) == len(graphs.captured) == 3


def test_threads_get_the_plain_models_outputs():
    plain = built('tiny')
    fast = accelerate(plain)
    images = [image((1, 3, 32 + i % 9, 40 + i % 7), seed=i) for i in range(64)]
    outputs = in_threads(lambda x: (x, fast(x)), images)
    with torch.no_grad():
        for x, maps in outputs:
            for a, b in zip(maps, plain(x), strict=True):
                assert_equal(a, b)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='this system does not fork')
def test_a_fork_while_another_thread_builds_the_copy_does_not_wait():
    code = """
        import os, threading, time, warnings
        import torch
        from hrnet_plugins.inference import accelerate
        from tests.helpers.accelerated import built
        from tests.helpers.networks import image

        warnings.simplefilter('ignore')  # Python's own, of threads and forks
        torch.set_num_threads(1)  # the threads of OpenMP do not survive a fork
        plain = built('tiny')
        fast = accelerate(plain)
        building, forked = threading.Event(), threading.Event()
        compiled = fast._fast_copy._compile

        def compile_slowly(part, dtype):
            building.set()
            forked.wait()
            return compiled(part, dtype)

        fast._fast_copy._compile = compile_slowly
        x = image((1, 3, 32, 40))
        thread = threading.Thread(target=lambda: fast(x))
        thread.start()
        building.wait()
        child = os.fork()
        forked.set()
        if not child:
            with torch.no_grad():
                error = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(fast(x), plain(x)))
            os._exit(0 if error < 1e-5 else 1)
        thread.join()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                print('child ended with', os.waitstatus_to_exitcode(status))
                break
            time.sleep(0.05)
        else:
            os.kill(child, 9)
            os.waitpid(child, 0)
            print('child waits')
    """
    done = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(code)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.strip() == 'child ended with 0', done.stdout + done.stderr


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('name', ['tiny', 'fpn', 'group norm'])
def test_autocast_changes_nothing(name, dtype):
    plain = built(name)
    fast = accelerate(plain)
    x = image((1, 3, 64, 97))
    alone = fast(x)
    with torch.autocast('cpu', dtype):
        inside = fast(x)
    assert all(torch.equal(a, b) for a, b in zip(inside, alone, strict=True))
    assert {out.dtype for out in inside} == {torch.float32}


def test_autocast_around_the_first_forward_of_a_detector():
    plain = DETECTORS['faster']().eval()
    fast = accelerate(plain)
    x = image((1, 3, 256, 256))
    with torch.autocast('cpu', torch.bfloat16):
        inside = fast.extract_feat(x)
    with torch.no_grad():
        for a, b in zip(inside, plain.extract_feat(x), strict=True):
            assert_equal(a, b)


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning', 'ignore:.*torch.jit:DeprecationWarning')
@pytest.mark.parametrize(
    'follow',
    [
        lambda model, x: torch.jit.trace(model, x, check_trace=False),
        lambda model, x: torch.export.export(model, (x,)).module(),
        lambda model, x: torch.fx.symbolic_trace(model),
        lambda model, x: torch.compile(model, backend='eager', fullgraph=True),
    ],
    ids=['jit.trace', 'export', 'fx', 'compile'],
)
@pytest.mark.parametrize('used', [False, True], ids=['new', 'used'])
def test_what_follows_the_forward_follows_the_plain_model(follow, used):
    plain = built('tiny')
    fast = accelerate(plain)
    x = image((1, 3, 64, 64))
    if used:
        fast(x)
    with torch.no_grad():
        followed = follow(fast, x)
        for a, b in zip(followed(x), plain(x), strict=True):
            assert_equal(a, b, 1e-6)
    assert_same(fast, plain, x)


def test_replicas_of_data_parallel_compute_what_the_model_computes():
    plain = built('tiny')
    fast = accelerate(plain)
    x = image((1, 3, 64, 64))
    fast(x)
    replica = fast._replicate_for_data_parallel()
    replica._modules = fast._modules  # what ``replicate`` fills in, on each device
    replica._buffers, replica._parameters = fast._buffers, fast._parameters
    assert_same(replica, plain, x, 1e-6)


@pytest.mark.gpu
def test_replicas_on_gpus():
    plain = built('tiny').cuda()
    [replica] = replicate(accelerate(plain), [torch.device('cuda', 0)])
    assert_same(replica, plain, image((1, 3, 64, 64)).cuda(), 1e-4)
