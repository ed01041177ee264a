"""Every name of the catalog, whole: its file served by this machine, converted, and loaded into the real model.

The files have all names and shapes of the published ones and one number an entry, which torch stores once however large
the entry is. The models are built without data and take the file's entries. So each name costs about a second.
"""

import functools
import io
import re
import zlib

import pytest
import torch
from torch import nn

import hrnet_plugins as hp
from hrnet_plugins import recipes
from hrnet_plugins.models import hrnet
from hrnet_plugins.weights import catalog, checkpoint_io, convert, hub
from hrnet_plugins.weights.config import config_of
from tests.helpers import servers
from tests.helpers.published import mmdet1_names, names_of, without_counters

MODELS = [name for name, weight in catalog.CATALOG.items() if weight.part == 'model']
BACKBONES = [name for name, weight in catalog.CATALOG.items() if weight.part == 'backbone']


def kind_of(name):
    """What a row has in common with others: the model but for its width, who published it, and its last host."""
    weight = catalog.CATALOG[name]
    method = re.split(r'[-_](?:w|hr)', weight.recipe.split('/')[-1])[0]
    source = weight.sources[-1]
    folder = 'timm' if source.url.startswith('hf://') else source.url.split('/')[3]
    return weight.task, method, 'mmdet1' in name, source.format, folder, '/third_party/' in source.url


def first_of_each_kind(names):
    """The quick tests have one row of each kind; the slow ones have the others."""
    seen = set()
    for name in names:
        kind = kind_of(name)
        yield pytest.param(name, marks=[pytest.mark.slow] if kind in seen else [])
        seen.add(kind)


def entry(key, shape):
    """An entry of one number, which its key gives."""
    value = 0 if key.endswith('num_batches_tracked') else 0.25 + zlib.crc32(key.encode()) % 997 / 1000
    return torch.tensor(value).expand(shape)


def first(value):
    """The first number of an entry."""
    return value[(0,) * value.dim()]


def file_of(source, model):
    """The state dict that a source has of a model, with the names that its publisher used."""
    names = names_of(model)
    if '/mmdetection/models/' in source.url:
        names = mmdet1_names(names)
    state = {key: entry(key, shape) for key, shape in names.items()}
    if source.url.startswith('hf://'):
        bare = source.url.endswith('ssld.paddle_in1k')
        return convert(state, target='timm-ssld' if bare else 'timm')[0]
    if 'HRNet-Image-Classification' in source.url:
        return convert(state, target='official-cls')[0]
    if 'HRNet-OCR' in source.url:
        return convert(without_counters(state) if source.format else state, target='official-seg')[0]
    if '/third_party/' in source.url:
        return {key.removeprefix('backbone.'): v for key, v in state.items() if key.startswith('backbone.')}
    return state


def empty(build):
    """Build a module without data."""
    with torch.device('meta'):
        return build()


@pytest.fixture
def _without_data(monkeypatch):
    """Models are built without data, and take the entries that are loaded as they are.

    The limit on entries with more numbers than their file has is lifted: such entries keep the tests quick.
    """
    monkeypatch.setattr(checkpoint_io, 'check_tensors', lambda state, size: None)
    build_model, init = recipes.build_model, hrnet.HRNet.__init__
    monkeypatch.setattr(recipes, 'build_model', lambda config: empty(lambda: build_model(config)))
    monkeypatch.setattr(hrnet.HRNet, '__init__', lambda *args, **options: empty(lambda: init(*args, **options)))
    load = functools.partialmethod(nn.Module.load_state_dict, assign=True)
    monkeypatch.setattr(nn.Module, 'load_state_dict', load)


@pytest.fixture
def served(monkeypatch, tmp_path):
    """Make every address but the last of a weight dead, and that one give the file of a model; what was asked."""
    (tmp_path / 'cache').touch()  # a cache that takes nothing, or each file would be written in full
    monkeypatch.setenv(hub.CACHE_VARIABLE, str(tmp_path / 'cache'))
    monkeypatch.delenv(hub.FOLDER_VARIABLE, raising=False)
    with servers.mirror(b'') as server:

        def serve(name, model):
            weight = catalog.CATALOG[name]
            buffer = io.BytesIO()
            torch.save(file_of(weight.sources[-1], model), buffer)
            server.body = buffer.getvalue()
            last = len(weight.sources) - 1
            root = f'http://127.0.0.1:{server.server_port}'
            sources = tuple(
                catalog.Source(f'{root}/{"good" if i == last else 404}/{i}.pth', format=source.format)
                for i, source in enumerate(weight.sources)
            )
            monkeypatch.setattr(hub, 'CATALOG', {name: catalog.Weight(weight.part, sources, 'none', 'nobody')})
            return server.asked

        yield serve


@pytest.mark.filterwarnings('ignore:DeprecationWarning. pretrained is deprecated')  # mmseg's, of its own configs
@pytest.mark.parametrize('name', list(first_of_each_kind(MODELS)))
@pytest.mark.usefixtures('_without_data', 'upstreams_names_given_back')
def test_a_model_by_its_name_and_the_backbone_out_of_it(name, served):
    weight = catalog.CATALOG[name]
    plain = recipes.build_model(config_of(name, weight))
    asked = served(name, plain)
    model = hp.create_model(name)
    assert len(asked) == len(weight.sources), 'all addresses are tried in turn'
    assert asked[-1] == f'/good/{len(weight.sources) - 1}.pth'
    assert type(model) is type(plain)
    assert type(model.backbone).__module__.startswith('hrnet_plugins')
    assert model.backbone.arch == hp.ARCHS[weight.arch]
    assert not model.training
    if '::' in weight.recipe:
        assert model.cfg.custom_imports == dict(imports=['hrnet_plugins.dropin'])
    loaded, expected = model.state_dict(), plain.state_dict()
    assert loaded.keys() == expected.keys()
    for key, value in loaded.items():
        assert value.device.type == 'cpu', f'{key} is not in the file'
        assert value.shape == expected[key].shape
        if key.startswith('backbone.') and weight.sources[-1].format != 'official-seg-abn':
            assert torch.equal(first(value), entry(key, ())), key
    backbone = hp.create_backbone(weight.arch, pretrained=name)
    for key, value in backbone.state_dict().items():
        if not key.endswith('num_batches_tracked'):  # older files have none
            assert torch.equal(first(value), first(loaded[f'backbone.{key}'])), key


@pytest.mark.parametrize('name', list(first_of_each_kind(BACKBONES)))
@pytest.mark.usefixtures('_without_data')
def test_a_backbone_by_its_name(name, served):
    classifier = f'cls_{name}'
    asked = served(name, recipes.build_model(config_of(classifier, catalog.CATALOG[classifier])))
    backbone = hp.create_backbone(catalog.CATALOG[name].arch, pretrained=name)
    assert len(asked) == len(catalog.CATALOG[name].sources)
    for key, value in backbone.state_dict().items():
        assert torch.equal(first(value), entry(f'backbone.{key}', ())), key
    with pytest.raises(ValueError, match=rf'its classifier is {classifier}'):
        hp.create_model(name)


def test_every_row_is_in_these_tests():
    assert {*MODELS, *BACKBONES} == set(catalog.CATALOG)
    kinds = {kind_of(name) for name in MODELS}
    assert len(kinds) >= 20
