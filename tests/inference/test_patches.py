"""Changes to other libraries: seen by the thread that asked, gone after the last, and still needed."""

import copy
import threading
import warnings
from contextlib import ExitStack

import pytest
import torch
import torch.nn.functional as F
from mmseg.models.utils import resize
from torch import _meta_registrations, nn
from torch.export import Dim
from torch.utils import _pytree

from hrnet_plugins.inference.patches import Patch, dynamic_shape_patches, without_resize_warning
from hrnet_plugins.models import HRFPN
from hrnet_plugins.models.hrfpn import pools_by_size
from tests.helpers.networks import image


def thread(work):
    """What a function returns in a thread of its own."""
    results = []
    other = threading.Thread(target=lambda: results.append(work()))
    other.start()
    other.join()
    return results[0]


def warn_of_leaf_spec():
    warnings.warn('`isinstance(treespec, LeafSpec)` is deprecated', FutureWarning, stacklevel=1)


def leaf_spec_is_quiet():
    try:
        warn_of_leaf_spec()  # warnings are errors here
    except FutureWarning:
        return False
    return True


def resize_is_quiet():
    try:
        resize(torch.zeros(1, 1, 3, 3), size=(6, 6), mode='bilinear', align_corners=True)
    except UserWarning:
        return False
    return True


class Odd:
    """A number that tells when it is asked for a remainder, as torch's own rule does."""

    def __floordiv__(self, other):
        return 'quotient'

    def __mod__(self, other):
        raise AssertionError('asked whether the window divides the map')


def division_is_exact():
    try:
        return _meta_registrations.div_rtn(Odd(), 2) == 'quotient'
    except AssertionError:
        return False


SEEN = {
    'pooled sizes': (dynamic_shape_patches, division_is_exact),
    'tree specs': (dynamic_shape_patches, leaf_spec_is_quiet),
    'resize': (without_resize_warning, resize_is_quiet),
}
"""A patch, and whether it is seen."""


def state():
    """What patches change, by identity."""
    return [_meta_registrations.div_rtn, resize.__defaults__, *warnings.filters]


@pytest.mark.parametrize('name', SEEN)
def test_only_the_thread_inside_sees_a_patch(name):
    patch, seen = SEEN[name]
    assert not seen()
    with patch():
        assert seen()
        assert not thread(seen)
        with patch():
            assert seen()
        assert seen(), 'the inner context does not end the outer one'
    assert not seen()


@pytest.mark.parametrize('name', SEEN)
@pytest.mark.parametrize('order', [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_threads_leave_in_any_order_and_nothing_is_left(name, order):
    patch, seen = SEEN[name]
    before = state()
    entered, leave = threading.Barrier(4), [threading.Event() for _ in range(3)]
    seen_inside = []

    def work(event):
        with patch():
            entered.wait(10)
            event.wait(10)
            seen_inside.append(seen())

    threads = [threading.Thread(target=work, args=(event,)) for event in leave]
    for worker in threads:
        worker.start()
    entered.wait(10)
    for i in order:
        assert not seen(), 'this thread is outside'
        leave[i].set()
        threads[i].join()
    assert seen_inside == [True] * 3
    assert all(a is b for a, b in zip(state(), before, strict=True))


@pytest.mark.parametrize('name', SEEN)
def test_an_error_inside_leaves_nothing(name):
    before = state()
    with pytest.raises(KeyError), SEEN[name][0]():
        raise KeyError
    assert all(a is b for a, b in zip(state(), before, strict=True))


def test_filters_that_others_set_meanwhile_stay():
    before = list(warnings.filters)
    with ExitStack() as ours, ExitStack() as theirs:
        ours.enter_context(dynamic_shape_patches())
        theirs.enter_context(warnings.catch_warnings())
        warnings.simplefilter('ignore', ResourceWarning)
        ours.close()
        assert warnings.filters[0][::2] == ('ignore', ResourceWarning, 0)
    assert warnings.filters == before


def test_a_change_that_fails_is_tried_again():
    tried = []

    def install(is_active):
        tried.append(is_active())
        if len(tried) == 1:
            raise ImportError('not installed')
        return lambda: tried.append('undone')

    patch = Patch(install)
    with pytest.raises(ImportError), patch.applied():
        pass
    with patch.applied():
        pass
    assert tried == [False, False, 'undone']


def test_other_threads_pool_eagerly_while_one_traces():
    asked = []

    class Ask(nn.Module):
        def forward(self, x):
            asked.append((pools_by_size(x), thread(lambda: pools_by_size(torch.zeros(1, 1, 8, 8)))))
            return x * 1

    sizes = {2: Dim('height', min=33), 3: Dim('width', min=33)}
    torch.export.export(Ask(), (torch.zeros(2, 1, 64, 96),), dynamic_shapes=(sizes,), strict=False)
    with dynamic_shape_patches():
        torch.export.export(Ask(), (torch.zeros(2, 1, 64, 96),), dynamic_shapes=(sizes,), strict=False)
    assert asked == [(False, True), (True, True)]


# When one of these fails, torch or mmseg no longer needs the patch: remove it.


class Pool(nn.Module):
    """Images by four times four pixels."""

    def forward(self, x):
        return (F.avg_pool2d(x, 4, 4),)


class Resize(nn.Module):
    """Images at another size, as mmseg's heads resize their scores."""

    def forward(self, x):
        return (resize(x, size=(200, 201), mode='bilinear', align_corners=True),)


@pytest.mark.parametrize(
    ('module', 'patch'), [(Pool(), dynamic_shape_patches), (Resize(), without_resize_warning)], ids=['pool', 'resize']
)
@pytest.mark.filterwarnings('ignore:When align_corners=True:UserWarning')
def test_tracing_for_every_size_still_needs_the_patch(module, patch):
    def export():
        sizes = {2: Dim('height', min=33), 3: Dim('width', min=33)}
        return torch.export.export(module, (torch.zeros(2, 1, 64, 96),), dynamic_shapes=(sizes,), strict=False)

    with pytest.raises(Exception, match='Constraints violated'):
        export()
    with patch():
        program = export()
    x = image((2, 1, 47, 61))
    assert torch.equal(program.module()(x)[0], module(x)[0])


def test_copies_of_tree_specs_still_warn():
    spec = _pytree.tree_structure((1,))
    with pytest.warns(FutureWarning, match='LeafSpec'):
        copy.deepcopy(spec)
    with dynamic_shape_patches():
        copy.deepcopy(spec)


def test_tracing_a_neck_without_the_patch_still_takes_views():
    neck = HRFPN((1,), 1, num_outs=3).eval()
    sizes = {2: Dim('height', min=33), 3: Dim('width', min=33)}
    program = torch.export.export(neck, ([torch.zeros(2, 1, 64, 96)],), dynamic_shapes=([sizes],), strict=False)
    assert any('unfold' in str(node.target) for node in program.graph.nodes)
