"""mmseg's own models with our backbone in them, by the names of their weights: the outputs are mmseg's."""

import importlib
from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config

import hrnet_plugins as hp
from hrnet_plugins.recipes import build_model, recipe_path
from hrnet_plugins.weights import catalog, hub
from tests.helpers.networks import assert_equal, fill, image


@pytest.mark.filterwarnings('ignore:DeprecationWarning. pretrained is deprecated')  # mmseg's, of its own configs
@pytest.mark.parametrize('name', ['fcn_hr18s_4xb4-80k_ade20k-512x512', 'ocrnet_hr18s_4xb2-160k_cityscapes-512x1024'])
@pytest.mark.usefixtures('upstreams_names_given_back')
def test_outputs_are_mmsegs(name, monkeypatch, tmp_path):
    theirs = fill(build_model(Config.fromfile(recipe_path(catalog.CATALOG[name].recipe)))).eval()
    assert type(theirs.backbone).__module__.startswith('mmseg')
    monkeypatch.setenv(hub.FOLDER_VARIABLE, str(tmp_path))
    meta = dict(CLASSES=['road'], PALETTE=[[128, 64, 128]], mmseg_version='0.11.0')
    torch.save(dict(state_dict=theirs.state_dict(), meta=meta), tmp_path / f'{name}.pth')
    ours = hp.create_model(name)
    assert type(ours.backbone).__module__.startswith('hrnet_plugins')
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    x = image((1, 3, 64, 128))
    with torch.inference_mode():
        assert_equal(ours(x, mode='tensor'), theirs(x, mode='tensor'))


def configs():
    """Mmseg's configs with an HRNet, one for each model: most differ in their data and schedule alone."""
    folder = Path(mmseg.__file__).parent / '.mim' / 'configs'
    return sorted(path for method in ('hrnet', 'ocrnet') for path in (folder / method).glob('*hr*.py'))


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:DeprecationWarning. pretrained is deprecated')  # mmseg's, of its own configs
@pytest.mark.usefixtures('upstreams_names_given_back')
def test_every_config_of_mmsegs_gives_mmsegs_numbers_at_an_odd_size():
    models = {}
    for path in configs():
        model = Config.fromfile(path).model
        models.setdefault(str(model), path)
    assert len(configs()) >= 60
    theirs = {}
    x = image((1, 3, 65, 97))
    for path in models.values():
        model = fill(build_model(Config.fromfile(path))).eval()
        assert type(model.backbone).__module__.startswith('mmseg')
        with torch.inference_mode():
            theirs[path] = model(x, mode='tensor')
    importlib.import_module('hrnet_plugins.dropin')
    for path, expected in theirs.items():
        model = fill(build_model(Config.fromfile(path))).eval()
        assert type(model.backbone).__module__.startswith('hrnet_plugins')
        with torch.inference_mode():
            assert_equal(model(x, mode='tensor'), expected)
