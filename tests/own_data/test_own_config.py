"""What a written config says: class counts everywhere, sizes, rates, weights, for each method and machine."""

import io
import math

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from rich.console import Console

from hrnet_plugins.data import DataError, Machine, Options, load, new
from hrnet_plugins.data.checks import class_counts
from hrnet_plugins.data.source import Code, Copy, Each, changes, source
from hrnet_plugins.recipes import model_of, recipe_path
from tests.helpers.own_sets import (
    coco_annotations,
    folders_flat,
    folders_split,
    masks_camvid,
    scene,
    sets,
    voc_main,
    yolo_images,
)

CPU = Machine(cores=2)
GPU = Machine(cores=16, gpu='A GPU', memory_gb=24.0, bf16=True)
SMALL_GPU = Machine(cores=8, gpu='A small GPU', memory_gb=8.0)
DETECTORS = (
    'faster-rcnn_hrnetv2p-w18_1x_coco',
    'faster-rcnn_hrnetv2p-w18-syncbn-ms_1x_coco',
    'mask-rcnn_hrnetv2p-w18_1x_coco',
    'cascade-rcnn_hrnetv2p-w18_20e_coco',
    'cascade-mask-rcnn_hrnetv2p-w18_20e_coco',
    'htc_hrnetv2p-w18_20e_coco',
    'fcos_hrnetv2p-w18_1x_coco',
    'fcos_hrnetv2p-w18-6l_2x_coco',
    'fcos_r50-5l_2x_coco',
)
SEGMENTORS = (
    'fcn_hrnetv2-w18-small-v1_484e_cityscapes-512x1024',
    'fcn_hrnetv2-w48_120e_ade20k-520x520',
    'ocr_hrnetv2-w18-small-v1_484e_cityscapes-512x1024',
    'ocr_hrnetv2-w48_484e_cityscapes-trainval-512x1024',
)
CLASSIFIERS = ('hrnet-w18-small-v1_100e_in1k', 'hrnet-w18-cutmix_300e_in1k')
ALL = (*DETECTORS, *SEGMENTORS, *CLASSIFIERS)


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """A folder of data for each kind of recipe."""
    root = tmp_path_factory.mktemp('own')
    coco_annotations(root / 'det', sets())
    masks_camvid(root / 'seg', sets())
    folders_split(root / 'cls')
    return root


def data_for(name):
    return 'seg' if name in SEGMENTORS else 'cls' if name in CLASSIFIERS else 'det'


def write(tmp_path, data, **options):
    """The config's path and text, and what was printed."""
    console = Console(file=io.StringIO(), width=300)
    options = {'machine': CPU, 'from_scratch': True, **options}
    path = new(tmp_path / 'own.py', data=data, console=console, **options)
    return path, path.read_text(), console.file.getvalue()


def numbers_of(node, key, where=''):
    """All values of a key in a nested config, by path."""
    found = {}
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for name, value in items:
        if name == key:
            found[where] = value
        found |= numbers_of(value, key, f'{where}.{name}')
    return found


def build(cfg):
    if cfg.default_scope == 'mmseg':
        import hrnet_plugins.seg  # noqa: F401, PLC0415
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(ConfigDict(cfg.model))


@pytest.mark.parametrize('heads', ['small', 'full'])
@pytest.mark.parametrize('name', ALL)
def test_class_counts_are_everywhere_and_nothing_else_is_lost(name, heads, folders, tmp_path):
    path, text, _ = write(tmp_path, folders / data_for(name), recipe=name, heads=heads)
    cfg = Config.fromfile(path)
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith('# hrnet-plugins'))
    counts = {**numbers_of(cfg.model, 'num_classes'), **numbers_of(cfg.get('data_preprocessor', {}), 'num_classes')}
    classes = 4 if name in SEGMENTORS else 3
    assert counts and set(counts.values()) == {classes}, counts
    original = Config.fromfile(recipe_path(name))
    before = numbers_of(original.model, 'num_classes')
    assert before.keys() - counts.keys() <= {'.roi_head.semantic_head'}
    if 'rpn_head' in original.model:
        same = ('anchor_generator', 'bbox_coder', 'loss_cls', 'loss_bbox', 'type')
        changed = [key for key in same if cfg.model.rpn_head[key] != original.model.rpn_head[key]]
        assert changed == ['anchor_generator'], 'small objects have smaller anchors, the rest stays'
    if heads == 'full' and 'roi_head' in original.model:
        for key in ('type', 'in_channels', 'roi_feat_size'):
            assert numbers_of(cfg.model.roi_head.bbox_head, key) == numbers_of(original.model.roi_head.bbox_head, key)
    assert cfg.load_from is None and 'Pretrained' not in str(cfg.model)
    assert not any(numbers_of(cfg.model, 'norm_eval').values()), 'untouched statistics would end in NaN'
    assert 'StuffMapsHook' not in str(cfg.custom_hooks) and 'stuffthingmaps' not in str(cfg.train_dataloader)
    dumped = tmp_path / 'dumped.py'
    cfg.dump(dumped)
    assert Config.fromfile(dumped).to_dict() == cfg.to_dict()


@pytest.mark.parametrize('name', [name for name in ALL if 'w48' not in name and 'r50' not in name])
def test_models_of_another_arch_build(name, folders, tmp_path):
    path, _, _ = write(tmp_path, folders / data_for(name), recipe=name, arch='w18_small_v1')
    model = build(Config.fromfile(path))
    assert model.backbone.out_channels == (16, 32, 64, 128)


@pytest.mark.parametrize(
    ('data', 'machine', 'name', 'arch'),
    [
        ('det', CPU, 'mask-rcnn_hrnetv2p-w18_1x_coco', 'w18_small_v1'),
        ('det', GPU, 'mask-rcnn_hrnetv2p-w32_1x_coco', 'w32'),
        ('det', SMALL_GPU, 'mask-rcnn_hrnetv2p-w18_1x_coco', 'w18'),
        ('seg', CPU, 'ocr_hrnetv2-w18-small-v1_484e_cityscapes-512x1024', 'w18_small_v1'),
        ('seg', GPU, 'ocr_hrnetv2-w48_484e_cityscapes-512x1024', 'w48'),
        ('cls', CPU, 'hrnet-w18-small-v1_100e_in1k', 'w18_small_v1'),
        ('cls', GPU, 'hrnet-w32_100e_in1k', 'w32'),
    ],
)
def test_default_recipes_by_task_and_machine(data, machine, name, arch, folders, tmp_path):
    path, text, said = write(tmp_path, folders / data, machine=machine)
    assert f'/{name}.py' in text and f'Recipe: {name}' in said
    cfg = Config.fromfile(path)
    assert cfg.model.backbone.arch == arch
    assert (cfg.optim_wrapper.type == 'AmpOptimWrapper') == bool(machine.gpu)
    assert cfg.model.backbone.get('channels_last', False) == (not machine.gpu)
    if machine.gpu:
        # mmcv's RoIAlign has no bfloat16.
        assert cfg.optim_wrapper.dtype == ('bfloat16' if machine.bf16 and data != 'det' else 'float16')


@pytest.mark.parametrize('recipe', ['fcn_hrnetv2-w18-small-v1_484e_cityscapes-512x1024', None])
def test_rare_classes_count_more_in_segmentation(recipe, folders, tmp_path):
    path, _, _ = write(tmp_path, folders / 'seg', recipe=recipe)
    cfg = Config.fromfile(path)
    counts = class_counts(load(folders / 'seg'), 'train')
    shares = [counts[name] / counts.total() for name in cfg.classes]
    assert cfg.class_weight == [round(1 / math.log(1.02 + share), 2) for share in shares]
    assert cfg.class_weight[shares.index(min(shares))] == max(cfg.class_weight)
    heads = cfg.model.decode_head if recipe is None else [cfg.model.decode_head]
    assert [head.loss_decode.class_weight for head in heads] == [cfg.class_weight] * len(heads)
    build(cfg)


@pytest.mark.parametrize(('machine', 'tenths'), [(CPU, range(8, 14)), (GPU, range(5, 21))])
def test_pictures_of_segmentation_change_less_where_time_is_short(machine, tenths, folders, tmp_path):
    path, _, _ = write(tmp_path, folders / 'seg', machine=machine)
    cfg = Config.fromfile(path)
    scales = cfg.train_dataloader.dataset.pipeline[2].scales
    assert [scale[0] for scale in scales] == [int(cfg.base_size * i / 10 + 0.5) for i in tenths]


def test_boxes_without_outlines_get_a_detector_of_boxes(tmp_path):
    voc_main(tmp_path / 'data', sets())
    _, text, said = write(tmp_path, tmp_path / 'data')
    assert 'Recipe: faster-rcnn_hrnetv2p-w18_1x_coco with w18_small_v1' in said and 'with_mask' not in text


def test_pictures_keep_their_size_and_large_ones_shrink(tmp_path):
    yolo_images(tmp_path / 'data', sets())
    path, text, _ = write(tmp_path, tmp_path / 'data')
    assert Config.fromfile(path).train_pipeline[2].scale == (96, 64) and 'keep their size, 96x64' in text
    path, text, _ = write(tmp_path, tmp_path / 'data', options=Options(size=48), force=True)
    assert Config.fromfile(path).test_pipeline[1].scale == (48, 32) and 'made smaller, to 48x32' in text


@pytest.mark.parametrize(('machine', 'scale'), [(CPU, (320, 213)), (GPU, (960, 640))])
def test_pictures_of_large_objects_shrink_without_a_gpu(machine, scale, tmp_path):
    made = {'train': [scene(f'a{i}', i, (960, 640)) for i in range(4)], 'val': [scene('b', 9, (960, 640))]}
    yolo_images(tmp_path / 'data', made)
    path, _, _ = write(tmp_path, tmp_path / 'data', machine=machine)
    assert Config.fromfile(path).scale == scale


def test_flips_are_left_out_when_asked(folders, tmp_path):
    for data in ('det', 'seg', 'cls'):
        path, _, _ = write(tmp_path, folders / data, options=Options(flip=False), force=True)
        assert 'RandomFlip' not in str(Config.fromfile(path).train_dataloader)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A folder of weights as the catalog names them: random ones, of the models as published."""
    folder = tmp_path / 'weights'
    folder.mkdir()
    monkeypatch.setenv('HRNET_PLUGINS_WEIGHTS', str(folder))

    def save(name, recipe, part=''):
        state = model_of(recipe_path(recipe)).state_dict()
        torch.save(
            {key.removeprefix(part): value for key, value in state.items() if key.startswith(part)},
            folder / f'{name}.pth',
        )

    return save


def test_a_published_detector_is_the_start_and_its_last_layers_are_dropped_aloud(folders, weights, tmp_path):
    weights('faster-rcnn_hrnetv2p-w18_2x_coco', 'faster-rcnn_hrnetv2p-w18_2x_coco')
    name = 'faster-rcnn_hrnetv2p-w18_1x_coco'
    path, text, said = write(tmp_path, folders / 'det', machine=GPU, recipe=name, from_scratch=False)
    cfg = Config.fromfile(path)
    assert cfg.load_from == 'hrnet://faster-rcnn_hrnetv2p-w18_2x_coco'
    assert cfg.model.backbone.init_cfg is None and cfg.model.backbone.norm_eval
    gone = 'roi_head.bbox_head.fc_cls, roi_head.bbox_head.fc_reg'
    assert (
        f'Not loaded, as the classes are others: {gone}' in said
        and f'weights of {gone} are not loaded' in text.replace('\n#', '')
    )
    # The recipe's rule: 0.02 for 16 images, here 6 pictures in all.
    assert cfg.train_dataloader.batch_size == 6 and math.isclose(cfg.optim_wrapper.optimizer.lr, 0.02 * 6 / 16)
    assert cfg.optim_wrapper.optimizer.type == 'SGD' and 'is scaled to 6' in text.replace('\n#', '')
    assert cfg.auto_scale_lr == dict(enable=False, base_batch_size=6)


def test_the_runner_loads_what_fits_and_goes_on(folders, weights, tmp_path):
    weights('faster-rcnn_hrnetv2p-w18_2x_coco', 'faster-rcnn_hrnetv2p-w18_2x_coco')
    options = dict(recipe='faster-rcnn_hrnetv2p-w18_1x_coco', heads='full', from_scratch=False)
    path, _, _ = write(tmp_path, folders / 'det', **options)
    cfg = Config.fromfile(path)
    cfg.update(work_dir=str(tmp_path / 'run'), experiment_name='loads', log_level='ERROR')
    with DefaultScope.overwrite_default_scope('mmdet'):
        runner = Runner.from_cfg(cfg)
        runner.load_or_resume()
    MMLogger.get_current_instance().setLevel('WARNING')
    state = torch.load(tmp_path / 'weights' / 'faster-rcnn_hrnetv2p-w18_2x_coco.pth')
    loaded = runner.model.state_dict()
    for key in ('backbone.conv1.weight', 'neck.reduction_conv.conv.weight', 'roi_head.bbox_head.shared_fcs.0.weight'):
        assert torch.equal(loaded[key], state[key])
    assert len(state['roi_head.bbox_head.fc_cls.weight']) == 81
    assert len(loaded['roi_head.bbox_head.fc_cls.weight']) == 4


def test_the_backbone_is_the_start_where_no_whole_model_fits(folders, weights, tmp_path):
    weights('w18_small_v1', 'hrnet-w18-small-v1_100e_in1k', 'backbone.')
    path, _, said = write(tmp_path, folders / 'det', from_scratch=False)
    cfg = Config.fromfile(path)
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint='hrnet://w18_small_v1')
    assert cfg.load_from is None and 'Weights: hrnet://w18_small_v1, for the backbone.' in said
    assert cfg.model.backbone.norm_eval and cfg.optim_wrapper.optimizer.type == 'SGD'


def test_a_classifier_is_the_start_of_a_classifier(folders, weights, tmp_path):
    weights('cls_w18_small_v1', 'hrnet-w18-small-v1_100e_in1k')
    path, _, said = write(tmp_path, folders / 'cls', from_scratch=False)
    assert Config.fromfile(path).load_from == 'hrnet://cls_w18_small_v1'
    assert 'Not loaded, as the classes are others: head.fc.' in said


def test_without_weights_it_says_so_and_trains_from_scratch(folders, tmp_path, no_network):
    path, _, said = write(tmp_path, folders / 'det', from_scratch=False)
    cfg = Config.fromfile(path)
    assert 'Weights: hrnet://w18_small_v1 cannot be had' in said and 'Training starts from scratch' in said
    assert cfg.model.backbone.init_cfg is None and not cfg.model.backbone.norm_eval
    assert cfg.optim_wrapper.optimizer.type == 'AdamW' and cfg.model.backbone.zero_init_residual


def test_without_weights_pretrained_only_stops(folders, tmp_path, no_network):
    with pytest.raises(DataError, match=r'no weights to start from, and --pretrained-only is set.*cannot be had'):
        write(tmp_path, folders / 'det', from_scratch=False, pretrained_only=True)
    assert not (tmp_path / 'own.py').exists()


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """No address answers, and nothing is in the cache."""
    from hrnet_plugins.weights import download  # noqa: PLC0415

    def refuse(*args, **options):
        raise download.DownloadError('no network')

    for module in ('hub', 'resolver'):
        try:
            monkeypatch.setattr(f'hrnet_plugins.weights.{module}.download', refuse)
        except (ImportError, AttributeError):
            continue
    monkeypatch.setenv('HRNET_PLUGINS_CACHE', str(tmp_path / 'cache'))
    monkeypatch.delenv('HRNET_PLUGINS_WEIGHTS', raising=False)


def test_weights_of_another_model_are_refused(folders, tmp_path):
    torch.save({'backbone.conv1.weight': torch.zeros(1)}, tmp_path / 'other.pth')
    with pytest.raises(DataError, match=r'fill 0 of the .* entries of this model: they are those of another'):
        write(tmp_path, folders / 'det', from_scratch=False, weights=str(tmp_path / 'other.pth'))


def test_a_config_and_its_data_move_together(tmp_path, monkeypatch):
    first, second = tmp_path / 'first', tmp_path / 'second'
    folders_flat(first / 'data')
    monkeypatch.chdir(first)
    new('own.py', data='data', machine=CPU, from_scratch=True, console=Console(file=io.StringIO()))
    monkeypatch.chdir(tmp_path)
    first.rename(second)
    cfg = Config.fromfile(second / 'own.py')
    for loader in ('train_dataloader', 'val_dataloader'):
        dataset = cfg[loader].dataset
        assert dataset.ann_file.startswith(str(second)) and dataset.data_root == f'{second}/data/'


@pytest.mark.parametrize('count', [2, 300, 100_000])
def test_length_follows_the_size_of_the_data(count, tmp_path, monkeypatch):
    from hrnet_plugins.data import load, plan  # noqa: PLC0415
    from hrnet_plugins.data.recipe import choose  # noqa: PLC0415

    voc_main(tmp_path / 'data', sets())
    content = load(tmp_path / 'data')
    content.splits['train'] = (content.splits['train'] * count)[:count]
    for machine in (CPU, GPU):
        made = plan.make(content, choose(content, machine), machine, Options(), from_scratch=False)
        assert made.steps == math.ceil(count / made.batch) and made.batch <= count
        assert made.val_interval <= made.epochs and made.warmup <= made.epochs * made.steps
        assert 3 <= made.epochs <= 200


BASE = {'a': 1, 'b': {'c': 2, 'd': 3}, 'heads': [{'n': 80, 'x': {'y': 1}}, {'n': 80, 'x': {'y': 2}}], 't': (1, 2)}


@pytest.mark.parametrize(
    ('wanted', 'said'),
    [
        ({**BASE}, {}),
        ({**BASE, 'a': 5}, {'a': 5}),
        ({**BASE, 'b': {'c': 2}}, {'b': {'_delete_': True, 'c': 2}}),
        ({**BASE, 'b': {'c': 2, 'd': 3, 'e': 4}}, {'b': {'e': 4}}),
        ({**BASE, 't': [1, 2]}, {'t': [1, 2]}),
        (
            {**BASE, 'heads': [{'n': 3, 'x': {'y': 1}}, {'n': 3, 'x': {'y': 2}}]},
            {'heads': Each(Copy('heads', {'n': 3}), 'heads', '_base_.heads')},
        ),
        (
            {**BASE, 'heads': [{'n': 80, 'x': {'y': 7}}, {'n': 80, 'x': {'y': 2}}]},
            {
                'heads': [
                    Copy('_base_.heads[0]', {'x': Copy("_base_.heads[0]['x']", {'y': 7})}),
                    Code('_base_.heads[1]'),
                ]
            },
        ),
    ],
)
def test_changes_are_the_differences(wanted, said):
    assert changes(BASE, wanted, '_base_') == said


@pytest.mark.parametrize(
    'value',
    [
        None,
        'a "quoted" \'name\'',
        ('one',),
        {'in-valid': 1, 'class': 2},
        [dict(type='A', values=list(range(60)), names=[f'name {i}' for i in range(30)]), (), {}],
        {'deep': {'er': {'still': [{'x' * 30: 'y' * 60, 'z' * 30: 'w' * 60}]}}},
    ],
)
def test_source_is_python_of_the_value(value):
    text = source(value)
    assert eval(text) == value  # noqa: S307, our own text
    assert all(len(line) <= 120 for line in text.splitlines())
