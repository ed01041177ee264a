"""The public door: what it holds, what it costs, and what two lines of Python give."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import hrnet_plugins as hp
from hrnet_plugins.models import pretrained
from hrnet_plugins.weights import hub as weights_hub
from tests.helpers import frameworks
from tests.helpers.networks import TINY, assert_equal, fill, image
from tests.helpers.processes import environment

PUBLIC = [name for name in hp.__all__ if name != '__version__']


def python(script):
    """What a script prints in a process of its own."""
    command = [sys.executable, '-W', 'ignore', '-c', script]
    done = subprocess.run(command, check=False, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


def test_every_public_name_is_there_documented_and_listed():
    assert set(PUBLIC) <= set(dir(hp))
    assert sorted(PUBLIC) == PUBLIC, 'in alphabetical order'
    for name in PUBLIC:
        value = getattr(hp, name)
        assert name == 'ARCHS' or (value.__doc__ or '').strip(), name
        assert getattr(hp, name) is value


def test_editors_see_what_the_door_gives():
    source = Path(hp.__file__).read_text()
    block = source[source.index('if TYPE_CHECKING:') : source.index('__version__ =')]
    seen = {name: home for home, name in re.findall(r'from hrnet_plugins\.(\S+) import (\w+) as \2', block)}
    assert seen == hp._HOME


def test_importing_it_imports_no_framework_and_no_torch():
    heavy = ('torch', 'mmengine', 'mmcv', 'mmdet', 'numpy', 'rich', 'click', 'yaml')
    script = f'import sys, hrnet_plugins; print([m for m in {heavy} if m in sys.modules])'
    assert python(script) == '[]'


def test_importing_it_is_quick():
    script = 'import time; t = time.process_time(); import hrnet_plugins; print(time.process_time() - t)'
    assert min(float(python(script)) for _ in range(3)) < 0.05


@pytest.mark.parametrize(
    ('name', 'near'), [('HRnet', 'HRNet'), ('create_backbon', 'create_backbone'), ('list_arch', 'list_archs')]
)
def test_unknown_names_are_told_the_nearest(name, near):
    with pytest.raises(AttributeError, match=rf"has no attribute '{name}'; did you mean .*{near}"):
        getattr(hp, name)


def test_lists_of_names():
    assert hp.list_archs() == list(hp.ARCHS)
    assert 'fcos_hrnetv2p-w18_1x_coco' in hp.list_recipes('fcos*')
    assert all(name.startswith('fcos') for name in hp.list_recipes('fcos*'))
    assert 'w48_ssld' in hp.list_weights('*w48*')
    assert hp.list_weights('nothing*') == hp.list_recipes('nothing*') == []


def test_listing_weights_and_recipes_imports_no_torch():
    script = "import sys, hrnet_plugins as hp; hp.list_weights(); hp.list_recipes(); print('torch' in sys.modules)"
    assert python(script) == 'False'


def test_a_backbone_as_the_published_code_starts_it():
    torch.manual_seed(0)
    found = hp.create_backbone(TINY, out_indices=(0, 2), zero_init_residual=True)
    torch.manual_seed(0)
    expected = hp.HRNet(TINY, out_indices=(0, 2), zero_init_residual=True)
    expected.init_weights()
    assert found.training
    for (key, a), b in zip(found.state_dict().items(), expected.state_dict().values(), strict=True):
        assert torch.equal(a, b), key


def test_pretrained_true_takes_the_imagenet_weights_of_the_architecture(monkeypatch, tmp_path):
    monkeypatch.setenv(weights_hub.FOLDER_VARIABLE, str(tmp_path))
    published = fill(hp.HRNet('w18_small_v1'))
    torch.save(published.state_dict(), tmp_path / 'w18_small_v1.pth')
    found = hp.create_backbone('w18_small_v1', pretrained=True, out_indices=(0, 3)).eval()
    x = image((1, 3, 64, 64))
    for a, b in zip(found(x), [published.eval()(x)[i] for i in (0, 3)], strict=True):
        assert_equal(a, b)
    with pytest.raises(ValueError, match='no ImageNet weights are published'):
        hp.create_backbone(TINY, pretrained=True)


def test_a_backbone_out_of_any_file(tmp_path):
    model = fill(frameworks.segmentor(TINY, 5))
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'segmentor.pth')
    found = hp.create_backbone(TINY, pretrained=tmp_path / 'segmentor.pth')
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(found.state_dict()[key], value)


@pytest.mark.parametrize('in_channels', [1, 2, 4, 6, 7])
def test_other_numbers_of_channels_adapt_the_stem(in_channels, tmp_path):
    published = fill(hp.HRNet(TINY)).eval()
    torch.save(published.state_dict(), tmp_path / 'tiny.pth')
    found = hp.create_backbone(TINY, pretrained=tmp_path / 'tiny.pth', in_channels=in_channels).eval()
    grey = image((1, 1, 64, 64))
    weight = torch.cat([published.conv1.weight] * 3, dim=1)[:, :in_channels] * (3 / in_channels)
    if in_channels > 1:
        assert torch.equal(found.conv1.weight, weight), 'repeated and scaled'
    if in_channels in (1, 6):  # each weight as often as any other: a grey image gives what it gave
        images = (grey.expand(-1, channels, -1, -1) for channels in (in_channels, 3))
        for a, b in zip(found(next(images)), published(next(images)), strict=True):
            assert_equal(a, b)


def test_refused_backbones(tmp_path):
    torch.save(fill(hp.HRNet('w18_small_v1')).state_dict(), tmp_path / 'small.pth')
    with pytest.raises(ValueError, match='another architecture'):
        hp.create_backbone(TINY, pretrained=tmp_path / 'small.pth')
    with pytest.raises(ValueError, match='did you mean w48_ssld'):
        hp.create_backbone('w48', pretrained='w48_sslt')
    with pytest.raises(ValueError, match='exclude each other'):
        hp.create_backbone(TINY, pretrained='w18', init_cfg=dict(type='Pretrained', checkpoint='a.pth'))


def test_a_weights_name_gives_the_model_with_its_weights(monkeypatch, tmp_path):
    monkeypatch.setenv(weights_hub.FOLDER_VARIABLE, str(tmp_path))
    name = 'cls_w18_small_v1'
    published = fill(hp.create_model(name, checkpoint=False))
    torch.save(published.state_dict(), tmp_path / f'{name}.pth')
    for given in (name, f'hrnet://{name}'):
        for key, value in hp.create_model(given).state_dict().items():
            assert torch.equal(value, published.state_dict()[key]), key
    changed = fill(hp.create_model(name, checkpoint=False, options={'model.head.num_classes': 3}))
    torch.save(changed.state_dict(), tmp_path / 'mine.pth')
    found = hp.create_model(name, checkpoint=tmp_path / 'mine.pth', options={'model.head.num_classes': 3})
    assert torch.equal(found.head.fc.weight, changed.head.fc.weight)
    with pytest.raises(ValueError, match=r'(?s)classes: expected 3, found 1000.*pass checkpoint=False'):
        hp.create_model(name, options={'model.head.num_classes': 3})
    with pytest.raises(ValueError, match='did you mean cls_w18_small_v1'):
        hp.create_model('hrnet://cls_w18_smal_v1')
    with pytest.raises(ValueError, match='its classifier is cls_w18'):
        hp.create_model('w18')


def test_a_whole_model_and_its_weights(tmp_path):
    options = {'model.backbone.arch': TINY, 'model.neck.0.in_channels': TINY.channels}
    config = tmp_path / 'classifier.py'
    config.write_text(
        "default_scope = 'mmpretrain'\n"
        "model = dict(type='ImageClassifier', backbone=dict(type='hrnet_plugins.HRNet', arch='w18'),\n"
        "    neck=[dict(type='hrnet_plugins.HRFuseScales', in_channels=[18, 36, 72, 144], out_channels=24,\n"
        "        mid_channels=[8, 16, 24, 40]), dict(type='GlobalAveragePooling')],\n"
        "    head=dict(type='LinearClsHead', num_classes=7, in_channels=24))\n"
    )
    first = fill(hp.create_model(config, options=options))
    assert not first.training
    assert first.cfg.model.head.num_classes == 7
    torch.save(dict(state_dict=first.state_dict(), meta={}), tmp_path / 'trained.pth')
    second = hp.create_model(config, checkpoint=tmp_path / 'trained.pth', options=options)
    x = image((1, 3, 64, 64))
    assert_equal(second(x, mode='tensor'), first(x, mode='tensor'))
    with pytest.raises(ValueError, match='expected 9, found 7'):
        hp.create_model(config, checkpoint=tmp_path / 'trained.pth', options={**options, 'model.head.num_classes': 9})


def test_a_classifier_normalises_as_its_recipe_says():
    model = hp.create_model('hrnet-w18-small-v1_100e_in1k')
    images = torch.full((1, 3, 64, 64), 200, dtype=torch.uint8)
    found = model.data_preprocessor(dict(inputs=images))['inputs']
    mean, std = (torch.tensor(model.cfg.data_preprocessor[key]).view(1, 3, 1, 1) for key in ('mean', 'std'))
    assert_equal(found, ((200 - mean) / std).expand(1, 3, 64, 64))
    assert 'data_preprocessor' not in model.cfg.model, 'the config stays as it is'


def test_refused_models():
    with pytest.raises(ValueError, match=r'did you mean .*fcos_hrnetv2p-w18_1x_coco'):
        hp.create_model('fcos_hrnetv2p-w18_1x_coc')
    with pytest.raises(FileNotFoundError):
        hp.create_model('hrnet-w18_100e_in1k', checkpoint='nowhere.pth')


def test_mmengine_knows_the_names_without_any_registry(tmp_path, monkeypatch):
    monkeypatch.setenv(weights_hub.FOLDER_VARIABLE, str(tmp_path))
    published = fill(hp.HRNet('w18_small_v1'))
    torch.save(published.state_dict(), tmp_path / 'w18_small_v1.pth')
    for first, second in (('hrnet_plugins', 'mmengine.runner'), ('mmengine.runner', 'hrnet_plugins')):
        script = f"""
import {first}, {second}, torch
from mmengine.runner import load_checkpoint
model = torch.nn.Module()
model.conv1 = torch.nn.Conv2d(3, 64, 3, bias=False)
load_checkpoint(model, 'hrnet://w18_small_v1')
print(float(model.conv1.weight.sum()))
"""
        assert float(python(script).splitlines()[-1]) == pytest.approx(published.conv1.weight.sum().item(), rel=1e-5)


def test_init_cfg_in_plain_python(tmp_path, monkeypatch):
    monkeypatch.setenv(weights_hub.FOLDER_VARIABLE, str(tmp_path))
    published = fill(hp.HRNet('w18_small_v1'))
    torch.save(published.state_dict(), tmp_path / 'w18_small_v1.pth')
    reads = []
    read = pretrained.CheckpointLoader.load_checkpoint
    monkeypatch.setattr(
        pretrained.CheckpointLoader, 'load_checkpoint', lambda *a, **k: (reads.append(a), read(*a, **k))[1]
    )
    model = hp.HRNet('w18_small_v1', init_cfg=dict(type='Pretrained', checkpoint='hrnet://w18_small_v1'))
    model.init_weights()
    assert torch.equal(model.conv1.weight, published.conv1.weight)
    assert len(reads) == 1, 'the file is read once'


def test_building_a_backbone_from_a_config_imports_neither_weights_nor_inference():
    script = """
import sys
from mmengine.registry import MODELS
MODELS.build(dict(type='hrnet_plugins.HRNet', arch='w18_small_v1'))
rooms = ('weights', 'inference', 'recipes', 'hub', 'seg')
print([m for m in sys.modules if m.startswith('hrnet_plugins.') and m.split('.')[1] in rooms])
"""
    assert python(script).splitlines()[-1] == '[]'
