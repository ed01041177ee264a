"""The hrnet-plugins command, and the wheel that carries it."""

import argparse
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from mmengine.config import Config, DictAction

from hrnet_plugins import cli
from hrnet_plugins.cli import mim
from hrnet_plugins.models import HRNet
from hrnet_plugins.recipes import distribution_of, framework_of, model_of, recipe_path, recipes
from hrnet_plugins.weights import config as weight_config
from hrnet_plugins.weights import load_state_dict
from tests.helpers.networks import TINY, fill
from tests.helpers.paths import ROOT
from tests.helpers.processes import environment

NAME = 'faster-rcnn_hrnetv2p-w18_1x_coco'


def run(*args):
    return CliRunner().invoke(cli.main, args)


def test_list_shows_every_recipe_and_filters():
    shown = run('list').output
    assert all(name in shown for name in recipes())
    some = run('list', 'w40', '2x').output
    assert 'faster-rcnn_hrnetv2p-w40_2x_coco' in some
    assert 'w18' not in some
    assert 'box AP 42.1, box AP (official) 41.4' in some, 'the published scores'


@pytest.mark.parametrize('recipe', [NAME, f'{NAME}.py', str(recipes()[NAME])])
def test_path_by_name_and_by_path(recipe, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run('path', recipe).output.strip() == str(recipes()[NAME])


def test_unknown_recipe_names_the_nearest():
    result = run('path', 'faster-rcnn_hrnetv2p-w19_1x_coco')
    assert result.exit_code == 1
    assert 'did you mean' in result.output
    assert NAME in result.output
    with pytest.raises(ValueError, match=r'`recipe` \(zzz\).*pass the path'):
        recipe_path('zzz')


def test_weights_are_listed_with_score_licence_and_source():
    shown = run('weights', 'cls', 'ssld').output
    assert 'cls_w48_ssld' in shown
    assert 'ImageNet top-1 83.6' in shown
    assert 'MIT' in shown
    assert 'github.com/HRNet' in shown
    assert 'ocr_' not in shown


@pytest.mark.parametrize(
    ('asked', 'name', 'count'),
    [
        (['ocr', '--dataset', 'PASCAL-Context'], 'ocr_w48_pascal59', 1),
        (['--task', 'instance', '--width', 'w40'], 'htc_hrnetv2p-w40_20e_coco', 4),
        (['mmdet1'], 'fcos_hrnetv2p-w48-mmdet1-ms_2x_coco', 29),
        (['mmsegmentation', '--width', 'w18_small_v2', '--dataset', 'vaihingen'], 'fcn_hr18s_4xb4-80k_vaihingen', 1),
        (['timm', 'gluon'], 'cls_w18_small_v1_gluon', 4),
    ],
    ids=str,
)
def test_weights_are_found_by_words_task_dataset_and_width(asked, name, count):
    lines = run('weights', *asked).output.splitlines()
    assert len(lines) == 1 + count
    assert any(name in line for line in lines)


def test_one_weight_is_shown_in_full():
    shown = run('weights', 'ocr_w48_ade20k').output
    for part in (
        'hrnet://ocr_w48_ade20k',
        'ocr_hrnetv2-w48_120e_ade20k-520x520',
        'Semantic Segmentation on ADE20K',
        'ADE20K mIoU 44.5',
        'hrnet-plugins test ocr_w48_ade20k',
        "hp.create_model('ocr_w48_ade20k')",
        'hrnet_ocr_ade20k_4451_torch04.pth',
        'format official-seg-abn',
    ):
        assert part in shown
    assert 'hrnet-plugins test cls_w18' in run('weights', 'hrnet://w18').output
    assert '--width w18' in run('weights', 'w18').output, 'it is a word in other names as well'
    gluon = run('weights', 'cls_w18_small_v1_gluon').output
    assert 'test_dataloader.dataset.pipeline.1.interpolation=bicubic' in gluon
    assert run('weights', 'nothing').exit_code == 1


def test_bringing_a_file_by_hand_is_told():
    shown = run('weights', 'cls_w18', '--manual').output
    for part in (
        'https://huggingface.co/timm/hrnet_w18.ms_in1k/resolve/main/model.safetensors',
        'FOLDER/hrnet-w18_3rdparty_8xb32_in1k_20220120-0c10b180.pth',
        'FOLDER/cls_w18.pth',
        'export HRNET_PLUGINS_WEIGHTS=FOLDER',
        'begin with 0c10b180',
    ):
        assert part in shown
    assert 'No hash of it is published' in run('weights', '--manual', 'w18_cutmix').output
    assert 'did you mean' in run('weights', '--manual', 'w18_cutmx').output
    assert run('weights', '--manual').exit_code == 2


@pytest.mark.parametrize(
    ('name', 'framework', 'config'),
    [
        (NAME, 'mmdet', NAME),
        ('hrnet://fcos_hrnetv2p-w48-mmdet1-ms_2x_coco', 'mmdet', 'fcos_hrnetv2p-w48-mmdet1_coco'),
        ('fcn_hr18s_4xb4-80k_ade20k-512x512', 'mmseg', 'fcn_hr18s_4xb4-80k_ade20k-512x512'),
        ('cls_w18_ms_aug', 'mmpretrain', 'cls_w18_ms_aug'),
    ],
)
def test_a_weight_knows_its_recipe(name, framework, config, monkeypatch):
    def record(command, package, path, options, **_):
        cfg = Config.fromfile(path, import_custom_modules=False)
        seen.append(([command, package], Path(path).stem, list(options), cfg))
        return 0

    seen = []
    monkeypatch.setattr(weight_config, 'DROPIN', 'hrnet_plugins')  # the real one would stay for other tests
    monkeypatch.setattr(mim, 'start', record)
    result = run('test', name, '--no-progress', '--work-dir', 'x')
    assert result.exit_code == 0, result.output
    ((command, stem, rest, cfg),) = seen
    assert command == ['test', distribution_of(framework)]
    assert stem == config
    hook = ['--cfg-options', 'default_hooks.checkpoint.type=hrnet_plugins.CheckpointHook']
    ours = hook if framework == 'mmseg' else []  # the recipes have it, and mmseg's own config has mmengine's
    assert rest == [*ours, '--checkpoint', f'hrnet://{name.removeprefix("hrnet://")}', '--work-dir', 'x']
    assert ('custom_imports' in cfg) == (framework == 'mmseg')
    if config == 'cls_w18_ms_aug':
        resize = cfg.test_dataloader.dataset.pipeline[1]
        assert (resize.type, resize.scale) == ('ResizeEdge', 235)
    assert 'cls_w18' in run('test', 'w18').output, 'a backbone has no test'


def test_listing_needs_no_torch():
    code = 'import sys; sys.modules["torch"] = None; from hrnet_plugins.cli import main; main()'
    for command, known in (('weights', 'cls_w48_ssld'), ('list', NAME)):
        argv = [sys.executable, '-c', code, command]
        done = subprocess.run(argv, env=environment(), capture_output=True, text=True, check=False)
        assert known in done.stdout, done.stderr


def test_convert_says_what_it_did_and_writes(tmp_path):
    source, out = str(tmp_path / 'a.pth'), str(tmp_path / 'b.safetensors')
    state = fill(HRNet(TINY)).state_dict()
    torch.save(dict(state_dict=state, epoch=3), source)
    done = run('convert', source, out)
    assert done.exit_code == 0, done.output
    assert f'renamed {len(state)}, to backbone.*' in done.output
    assert f'{len(state)} entries written to {out}' in done.output
    converted = load_state_dict(out)
    assert all(torch.equal(converted[f'backbone.{key}'], value) for key, value in state.items())
    cannot = run('convert', out, str(tmp_path / 'c.pth'), '--to', 'official-cls')
    assert cannot.exit_code == 1
    assert 'keys it needs and are not there' in cannot.output
    assert not (tmp_path / 'c.pth').exists()


def test_convert_checks_against_a_recipe(tmp_path, digits_recipe):
    source, out = str(tmp_path / 'a.pth'), str(tmp_path / 'b.pth')
    model = model_of(digits_recipe)
    torch.save(model.state_dict(), source)
    assert run('convert', source, out, '--check', str(digits_recipe)).exit_code == 0
    wrong = run('convert', source, str(tmp_path / 'c.pth'), '--check', NAME)
    assert wrong.exit_code == 1
    assert 'width: expected 18, found 16' in wrong.output
    assert 'classes: expected 80, found 10' in wrong.output
    assert not (tmp_path / 'c.pth').exists()


def test_convert_checks_whatever_names_it_writes(tmp_path, digits_classifier):
    source, out = str(tmp_path / 'a.pth'), str(tmp_path / 'b.pth')
    torch.save(model_of(digits_classifier).state_dict(), source)
    done = run('convert', source, out, '--to', 'official-cls', '--check', str(digits_classifier))
    assert done.exit_code == 0, done.output
    assert 'classifier.weight' in load_state_dict(out)
    wrong = run('convert', out, str(tmp_path / 'c.pth'), '--to', 'official-cls', '--check', 'hrnet-w18_100e_in1k')
    assert wrong.exit_code == 1
    assert 'width: expected 18, found 16' in wrong.output
    assert not (tmp_path / 'c.pth').exists()


def test_convert_writes_nothing_when_a_key_is_unknown(tmp_path):
    source, out = tmp_path / 'a.pth', tmp_path / 'b.pth'
    torch.save({**fill(HRNet(TINY)).state_dict(), 'extra.weight': torch.zeros(1)}, source)
    done = run('convert', str(source), str(out))
    assert done.exit_code == 1
    assert 'extra.weight' in done.output
    assert not out.exists()
    assert run('convert', str(tmp_path / 'absent.pth'), str(out)).exit_code == 1


def test_config_without_a_framework_is_refused(tmp_path):
    path = tmp_path / 'bare.py'
    path.write_text('x = 1\n')
    result = run('train', str(path))
    assert result.exit_code == 1
    assert '`default_scope` (None)' in result.output


def test_framework_is_found_without_what_a_config_imports(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text("default_scope = 'mmseg'\ncustom_imports = dict(imports=['no_such_module'])\n")
    assert framework_of(path) == 'mmseg'


PROGRESS = ['--cfg-options', 'default_hooks.progress.type=hrnet_plugins.ProgressHook']
GLOO = ['--cfg-options', 'runner_type=hrnet_plugins.GlooRunner', *PROGRESS]


@pytest.mark.parametrize(
    ('args', 'gpus', 'rest'),
    [
        (
            ['train', NAME, '--gpus', '2', '--launcher', 'pytorch'],
            True,
            [*PROGRESS, '--gpus', '2', '--launcher', 'pytorch'],
        ),
        (['train', NAME, '--launcher', 'pytorch'], False, [*GLOO, '--launcher', 'pytorch']),
        (['train', NAME, '--launcher=pytorch'], False, [*GLOO, '--launcher=pytorch']),
        (['train', NAME, '--resume', '-l', 'pytorch'], False, [*GLOO, '--resume', '-l', 'pytorch']),
        (['train', NAME, '-lpytorch'], False, [*GLOO, '-lpytorch']),
        (['train', NAME, '--launch-date', 'x'], False, [*PROGRESS, '--launch-date', 'x']),
        (['train', NAME], False, PROGRESS),
        (['train', NAME, '--no-progress', '--resume'], False, ['--resume']),
        (['test', NAME, 'a.pth', '--out', 'b.pkl'], False, ['--checkpoint', 'a.pth', *PROGRESS, '--out', 'b.pkl']),
        (['test', NAME, 'a.pth', '--no-progress'], False, ['--checkpoint', 'a.pth']),
        (['train', NAME, '--help'], False, [*PROGRESS, '--help']),
        (['test', NAME, '--help'], False, ['--help']),
    ],
)
def test_options_go_to_mim_as_they_are(args, gpus, rest, monkeypatch):
    seen = []

    def record(*args, **named):
        seen.append((*args, named))
        return 3

    monkeypatch.setattr(mim, 'start', record)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpus)
    result = run(*args)
    named = dict(framework='mmdet', trust=False)
    assert seen == [(args[0], distribution_of('mmdet'), recipes()[NAME], tuple(rest), named)]
    assert result.exit_code == 3


def test_trust_is_our_own_word(monkeypatch):
    monkeypatch.setenv('HRNET_PLUGINS_TRUST', '')
    seen = []
    monkeypatch.setattr(mim, 'start', lambda *args, **named: seen.append((args[3], named['trust'])) or 0)
    assert run('test', NAME, 'a.pth', '--trust', '--no-progress', '--out', 'b.pkl').exit_code == 0
    assert seen == [(('--checkpoint', 'a.pth', '--out', 'b.pkl'), True)]


def test_configs_with_mmengines_hook_train_with_ours(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(mim, 'start', lambda *args, **named: seen.append(args[3]) or 0)
    path = tmp_path / 'x.py'
    path.write_text("default_scope = 'mmdet'\ndefault_hooks = dict(checkpoint=dict(type='CheckpointHook'))\n")
    run('train', str(path), '--no-progress')
    run('train', str(path), '--no-progress', '--cfg-options', 'default_hooks.checkpoint.type=Mine')
    ours = ('--cfg-options', 'default_hooks.checkpoint.type=hrnet_plugins.CheckpointHook')
    assert seen == [ours, ('--cfg-options', 'default_hooks.checkpoint.type=Mine')]


@pytest.mark.parametrize(
    ('option', 'said'),
    [
        ('train_dataloder.batch_size=2', 'did you mean train_dataloader.batch_size?'),
        ('train_dataloader.batchsize=2', 'did you mean train_dataloader.batch_size?'),
        ('model.bakbone.norm_eval=True', 'did you mean model.backbone.norm_eval?'),
        ('optim_wraper.optimizer.lr=0.1', 'did you mean optim_wrapper.optimizer.lr?'),
        ('trian_cfg.max_epochs=1', 'did you mean train_cfg.max_epochs?'),
        ('something=1', 'no key of the config takes it; the nearest is'),
        ('param_scheduler.7.begin=1', 'is a list of 2: write a number from 0 to 1'),
        ('model.backbone.arch.width=1', "is 'w18', which has no keys"),
        ('batch_size', 'must be KEY=VALUE'),
    ],
)
def test_options_that_nothing_takes_are_refused(option, said, monkeypatch):
    monkeypatch.setattr(mim, 'start', lambda *args, **named: 0)
    for command in (('train', NAME), ('test', NAME, 'a.pth')):
        done = run(*command, '--cfg-options', option)
        assert done.exit_code == 1
        assert said in done.output


def test_options_of_what_gets_another_type_pass(monkeypatch):
    monkeypatch.setattr(mim, 'start', lambda *args, **named: 0)
    words = ('model.type=hrnet_plugins.Accelerated', 'model.dtype=bf16', 'model.plain=FasterRCNN')
    assert run('test', NAME, 'a.pth', '--cfg-options', *words).exit_code == 0
    assert run('test', NAME, 'a.pth', '--cfg-options', *words, 'train_dataloader.batch_sizes=1').exit_code == 1


@pytest.mark.parametrize(
    'option',
    [
        'train_dataloader.dataset.indices=8', 'model.backbone.norm_eval=True', 'randomness.seed=0', 'work_dir=x',
        'param_scheduler.1.end=3', 'runner_type=Mine', 'load_from=x.pth', 'model.backbone.with_cp=True',
    ],
)  # fmt: skip
def test_options_that_something_takes_pass(option, monkeypatch):
    monkeypatch.setattr(mim, 'start', lambda *args, **named: 0)
    assert run('train', NAME, '--cfg-options', option).exit_code == 0


def test_the_users_own_runner_type_wins(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    options = mim.without_gpus(('--cfg-options', 'a.b=1', 'runner_type=Mine'))
    assert parser.parse_args(options).cfg_options == {'a.b': 1, 'runner_type': 'Mine'}
    assert parser.parse_args(options[:2]).cfg_options == dict(runner_type='hrnet_plugins.GlooRunner')


def test_progress_leaves_a_configs_hooks_as_they_are():
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    options = mim.with_progress(('--cfg-options', 'default_hooks.logger.interval=5'))
    own = [dict(type='NumClassCheckHook')]
    for hooks in ({}, dict(default_hooks=dict(logger=dict(type='LoggerHook')))):
        config = Config(dict(custom_hooks=own, **hooks))
        config.merge_from_dict(parser.parse_args(options).cfg_options)
        assert config.custom_hooks == own
        assert config.default_hooks.progress == dict(type='hrnet_plugins.ProgressHook')
        assert config.default_hooks.logger.interval == 5


def test_options_before_the_checkpoint_are_refused():
    result = run('test', NAME, '--work-dir', 'x', 'a.pth')
    assert result.exit_code == 2
    assert 'Usage: main test [OPTIONS] RECIPE [CHECKPOINT]' in result.output
    assert 'CHECKPOINT comes right after RECIPE, before the options; --work-dir stands there' in result.output


def test_a_recipe_without_weights_of_its_name_needs_a_checkpoint():
    result = run('test', 'htc_hrnetv2p-w40_28e_coco')
    assert result.exit_code == 2
    assert 'nothing stands there. Only a name of `hrnet-plugins weights` needs none' in result.output


def test_neither_stack_installed_is_said(monkeypatch):
    monkeypatch.setattr('hrnet_plugins.recipes.distributions', lambda modules: {})
    result = run('train', NAME)
    assert result.exit_code == 1
    assert "pip install 'hrnet-plugins[onedl]'" in result.output


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """The package installed from its wheel, in a folder of its own."""
    folder = tmp_path_factory.mktemp('wheel')
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '-q']
    flags = ['--no-deps', '--no-build-isolation']
    subprocess.run([*pip, 'wheel', *flags, '-w', folder, ROOT], check=True, capture_output=True)
    (wheel,) = folder.glob('*.whl')
    site = folder / 'site'
    subprocess.run([*pip, 'install', *flags, '--target', site, wheel], check=True, capture_output=True)
    return wheel, site


def test_wheel_carries_configs_tools_and_index(site):
    wheel, _ = site
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {
        f'hrnet_plugins/.mim/configs/{p.relative_to(ROOT / "configs")}'
        for p in ROOT.glob('configs/**/*.*')
        if p.suffix in ('.py', '.yml')
    }
    tools = {f'hrnet_plugins/.mim/tools/{name}.py' for name in ('train', 'test')}
    assert configs | tools | {'hrnet_plugins/.mim/model-index.yml'} <= names
    assert {'hrnet_plugins/doctor/reference.json', 'hrnet_plugins/weights/catalog.json'} <= names
    assert not any(name.startswith(('configs/', 'tests/', 'projects/')) for name in names)


def outside(site, tmp_path, *args):
    """Run Python from a folder of its own with the installed wheel before the checkout."""
    env = {'PYTHONPATH': str(site[1]), 'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path), 'COLUMNS': '200'}
    command = [sys.executable, '-W', 'ignore', *args]
    return subprocess.run(command, check=False, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)


def test_wheel_works_from_any_folder(site, tmp_path):
    done = outside(site, tmp_path, '-m', 'hrnet_plugins.cli', 'path', NAME)
    assert done.stdout.strip() == str(site[1] / 'hrnet_plugins/.mim/configs/det/faster_rcnn' / f'{NAME}.py')


def test_mim_finds_the_package_as_the_page_on_recipes_says(site, tmp_path):
    found = outside(site, tmp_path, '-m', 'mim', 'search', 'hrnet_plugins', '--model', 'hrnet')
    trained = outside(site, tmp_path, '-m', 'mim', 'train', 'hrnet_plugins', f'{NAME}.py')
    if distribution_of('mmdet') != 'mmdet':
        assert found.returncode != 0, 'onedl-mim has learnt to find it: say so in docs/recipes.md'
        assert trained.returncode != 0
        return
    assert all(f'config id: {name}' in found.stdout for name in recipes()), found.stderr
    # There is no COCO here, so training gets as far as asking for it.
    assert f'we find the config file in codebase hrnet_plugins, will use {site[1]}' in trained.stdout
    assert 'data/coco/annotations/instances_train2017.json: there is no such file; see `ann_file`' in trained.stderr
