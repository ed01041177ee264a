"""Datasets that check themselves, labels as shipped, and the published augmentation."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, init_default_scope
from mmengine.structures import PixelData
from PIL import Image

import hrnet_plugins.seg  # noqa: F401  (registers what the configs name)
from hrnet_plugins.seg.datasets import CityscapesDataset, FolderDataset
from hrnet_plugins.seg.metrics import PublishedIoU
from tests.helpers.configs import config_of
from tests.helpers.label_layouts import LAYOUTS, TRAIN
from tests.helpers.paths import ROOT

FRAGMENTS = ROOT / 'configs' / '_base_' / 'datasets'
NAMES = (
    'cityscapes',
    'cityscapes_trainval',
    'lip',
    'pascal-context-59',
    'pascal-context-60',
    'pascal-context-60_480x480',
    'cocostuff10k',
    'ade20k',
    'ade20k_to-1.6',
)
LARGEST = {'lip': 1.6, 'ade20k_to-1.6': 1.6}  # the largest training scale; 2.1 of all others
IGNORED = 255


def fragment(name):
    init_default_scope('mmseg')
    return config_of(FRAGMENTS / f'{name}.py')


def item(labels=None, value=0):
    """An image of one grey, with labels, as the loading transforms leave it."""
    labels = np.zeros((60, 90), np.uint8) if labels is None else labels.copy()
    image = np.full((*labels.shape, 3), value, np.uint8)
    return dict(img=image, gt_seg_map=labels, seg_fields=['gt_seg_map'])


@pytest.fixture
def laid_out(tmp_path, monkeypatch):
    """A function that makes a dataset's folders and gives its fragment."""
    monkeypatch.chdir(tmp_path)

    def make(name):
        cfg = fragment(name)
        LAYOUTS[cfg.data_root](tmp_path / cfg.data_root)
        return cfg

    return make


@pytest.mark.parametrize('name', NAMES)
def test_dataset_reads_its_layout(name, laid_out):
    cfg = laid_out(name)
    train = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(train) == (TRAIN + 2 if name == 'cityscapes_trainval' else TRAIN)
    assert len(train.metainfo['classes']) == cfg.num_classes
    for found in train:
        assert found['inputs'].shape == (3, *cfg.crop_size)
        assert set(found['data_samples'].gt_sem_seg.data.unique().tolist()) <= {*range(cfg.num_classes), IGNORED}
    seen = set()
    for found in DATASETS.build(cfg.val_dataloader.dataset):
        labels = found['data_samples'].gt_sem_seg.data
        assert tuple(labels.shape[1:]) == found['data_samples'].ori_shape
        seen |= set(labels.unique().tolist())
    assert seen <= {*range(cfg.num_classes), IGNORED}
    assert len(seen) > min(cfg.num_classes, 20) * 0.6


@pytest.mark.parametrize(
    ('name', 'value', 'label'),
    [
        ('cityscapes', 7, 0),
        ('cityscapes', 33, 18),
        ('cityscapes', 0, IGNORED),
        ('cityscapes', 29, IGNORED),
        ('cityscapes', 255, IGNORED),
        ('lip', 0, 0),
        ('lip', 19, 19),
        ('pascal-context-59', 0, IGNORED),
        ('pascal-context-59', 59, 58),
        ('pascal-context-60', 0, 0),
        ('pascal-context-60', 59, 59),
        ('cocostuff10k', 0, IGNORED),
        ('cocostuff10k', 171, 170),
        ('ade20k', 0, IGNORED),
        ('ade20k', 150, 149),
    ],
)
def test_label_encoding(name, value, label, laid_out):
    dataset = DATASETS.build(laid_out(name).val_dataloader.dataset)
    assert dataset.encoding[value] == label


def test_cityscapes_encoding_is_that_of_mmsegs_converted_files():
    """The labels that Cityscapes' own table of train ids gives, class by class."""
    ids = (
        'road 7, sidewalk 8, building 11, wall 12, fence 13, pole 17, traffic light 19, traffic sign 20, vegetation 21'
    )
    ids += ', terrain 22, sky 23, person 24, rider 25, car 26, truck 27, bus 28, train 31, motorcycle 32, bicycle 33'
    expected = dict(entry.rsplit(' ', 1) for entry in ids.split(', '))
    classes = CityscapesDataset.METAINFO['classes']
    assert {name: str(value) for name, value in zip(classes, CityscapesDataset.METAINFO['label_values'])} == expected


def test_a_choice_of_classes(laid_out):
    cfg = laid_out('cityscapes').val_dataloader.dataset
    dataset = DATASETS.build(dict(cfg, metainfo=dict(classes=('car', 'road'))))
    assert (dataset.encoding[26], dataset.encoding[7], dataset.encoding[8], dataset.encoding[40]) == (0, 1, IGNORED, -1)
    assert dataset.metainfo['label_values'] == (26, 7)


@pytest.mark.parametrize('name', ['lip', 'pascal-context-59', 'pascal-context-60', 'cocostuff10k', 'ade20k'])
def test_written_predictions_have_the_values_of_the_label_files(name, laid_out, tmp_path):
    dataset = DATASETS.build(laid_out(name).val_dataloader.dataset)
    metric = PublishedIoU(output_dir=str(tmp_path / 'out'), format_only=True)
    metric.dataset_meta = dataset.metainfo
    for i, item in enumerate(dataset):
        sample, info = item['data_samples'], dataset.get_data_info(i)
        labels = sample.gt_sem_seg.data
        sample.pred_sem_seg = PixelData(data=labels.where(labels != IGNORED, 0))
        metric.process({}, [sample.to_dict()])
        written = np.asarray(Image.open(tmp_path / 'out' / f'{Path(info["img_path"]).stem}.png'))
        given = np.asarray(Image.open(info['seg_map_path']))
        known = labels[0].numpy() != IGNORED
        assert known.any()
        assert (written == given)[known].all()


def test_only_training_needs_labels(laid_out):
    cfg = laid_out('cityscapes')
    test = dict(cfg.val_dataloader.dataset, data_prefix=dict(img_path='leftImg8bit/val'))
    assert ['gt_sem_seg' in found['data_samples'] for found in DATASETS.build(test)] == [False, False]
    with pytest.raises(ValueError, match=r"`data_prefix` \(\{'img_path'.*\) has no seg_map_path"):
        DATASETS.build(dict(test, test_mode=False))


BREAK = {
    'no images': lambda root: shutil.rmtree(root / 'leftImg8bit/val'),
    'no labels': lambda root: shutil.rmtree(root / 'gtFine/val'),
    'empty': lambda root: [path.unlink() for path in (root / 'leftImg8bit/val').rglob('*.png')],
    'one label missing': lambda root: next((root / 'gtFine/val').rglob('*labelIds.png')).unlink(),
}
MESSAGES = {
    'no images': r'`data_prefix.img_path` \(data/cityscapes/leftImg8bit/val\) is no folder',
    'no labels': r'`data_prefix.seg_map_path` \(data/cityscapes/gtFine/val\) is no folder',
    'empty': r'`data_prefix.img_path` .* holds no \*_leftImg8bit.png',
    'one label missing': r'1 of 2 label files are missing, the first: .*gtFine/val/valville/\S+_gtFine_labelIds.png',
}


@pytest.mark.parametrize('what', BREAK)
def test_what_is_missing_is_an_error_when_the_dataset_is_built(what, laid_out, tmp_path):
    cfg = laid_out('cityscapes')
    BREAK[what](tmp_path / cfg.data_root)
    with pytest.raises(ValueError, match=MESSAGES[what]):
        DATASETS.build(cfg.val_dataloader.dataset)


def test_lists_are_checked(laid_out, tmp_path):
    cfg = laid_out('pascal-context-59')
    listed = tmp_path / cfg.data_root / cfg.val_dataloader.dataset.ann_file
    listed.write_text(listed.read_text() + '2010_000001\n')
    with pytest.raises(ValueError, match=r'1 of 3 images are missing, the first: \S*JPEGImages/2010_000001.jpg'):
        DATASETS.build(cfg.val_dataloader.dataset)
    listed.unlink()
    with pytest.raises(ValueError, match=r'`ann_file` \(\S*val.txt\) is no file'):
        DATASETS.build(cfg.val_dataloader.dataset)


@pytest.mark.parametrize(
    ('write', 'message'),
    [
        (lambda path, labels: cv2.imwrite(path, np.where(labels == labels[0, 0], 77, labels)), r'holds the value 77'),
        (lambda path, labels: cv2.imwrite(path, np.dstack([labels] * 3)), r'has shape \(\d+, \d+, 3\): .* not colours'),
        (lambda path, labels: cv2.imwrite(path, labels[:-1]), r'its image .*: they must agree'),
        (lambda path, labels: Image.fromarray(labels.astype(np.uint16) + 300).save(path), r'holds the value 30\d'),
    ],
    ids=['value', 'colours', 'size', 'sixteen bits'],
)
def test_wrong_labels_name_file_and_value(write, message, laid_out, tmp_path):
    cfg = laid_out('lip')
    path = sorted((tmp_path / cfg.data_root / 'TrainVal_parsing_annotations/val_segmentations').iterdir())[0]
    write(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    with pytest.raises(ValueError, match=rf'{path.name}.*{message}'):
        dataset[0]


@pytest.mark.parametrize('name', NAMES)
def test_scales_are_the_published_ones(name, monkeypatch):
    """Long sides of 0.5, 0.6, ... times the base size, whatever the image's shape, and labels in step."""
    cfg = fragment(name)
    (resize,) = [step for step in cfg.train_pipeline if step.type == 'RandomChoiceResize']
    factors = np.arange(5, round(LARGEST.get(name, 2.1) * 10) + 1) / 10
    expected = [int(cfg.base_size * factor + 0.5) for factor in factors]
    assert [side for side, _ in resize.scales] == expected
    pipeline = Compose([resize])
    for i, side in enumerate(expected):
        monkeypatch.setattr(np.random, 'randint', lambda n, i=i: i)
        found = pipeline(item())
        assert max(found['img'].shape[:2]) == side
        assert found['gt_seg_map'].shape == found['img'].shape[:2]


@pytest.mark.parametrize('name', NAMES)
def test_augmentation_is_the_published_one(name):
    types = [step.type for step in fragment(name).train_pipeline]
    short_side = ['Resize'] if name.startswith(('cocostuff', 'ade20k')) else []
    tail = ['RandomChoiceResize', 'Pad', 'RandomCrop']
    middle = ['RandomFlip', 'Resize', *tail] if name == 'lip' else [*short_side, *tail, 'RandomFlip']
    assert types == ['LoadImageFromFile', 'hrnet_plugins.LoadLabels', *middle, 'PackSegInputs']


@pytest.mark.parametrize('name', NAMES)
def test_padding_is_black_before_normalisation(name):
    cfg = fragment(name)
    pad, crop = (step for step in cfg.train_pipeline if step.type in ('Pad', 'RandomCrop'))
    found = Compose([pad, crop])(item(value=200))
    assert found['img'].shape[:2] == tuple(cfg.crop_size) == found['gt_seg_map'].shape
    assert (found['img'][:60, :90] == 200).all()
    assert (found['img'][60:] == 0).all()
    assert (found['img'][:, 90:] == 0).all()
    assert (found['gt_seg_map'][60:] == IGNORED).all()


def test_lip_flip_swaps_left_and_right():
    cfg = fragment('lip')
    (flip,) = [step for step in cfg.train_pipeline if step.type == 'RandomFlip']
    labels = np.arange(20, dtype=np.uint8)[None]
    found = Compose([dict(flip, prob=1.0)])(item(labels))
    swap = {14: 15, 15: 14, 16: 17, 17: 16, 18: 19, 19: 18}
    assert found['gt_seg_map'][0, ::-1].tolist() == [swap.get(i, i) for i in range(20)]
    assert cfg.fused_test.flip_pairs == flip.swap_seg_labels
    names = DATASETS.get('hrnet_plugins.LIPDataset').METAINFO['classes']
    assert all(names[a].replace('Left', 'Right') == names[b] for a, b in cfg.fused_test.flip_pairs)


@pytest.mark.parametrize(('name', 'removed'), [('ade20k', False), ('cocostuff10k', True)])
def test_short_side_tests_pad_with_the_mean_colour(name, removed, laid_out):
    dataset = DATASETS.build(laid_out(name).val_dataloader.dataset)
    for item in dataset:
        sample, pixels = item['data_samples'], item['inputs']
        assert sample.ori_shape in ((60, 90), (90, 60))
        assert sorted(pixels.shape[1:]) == [520, 784]  # 520 x 780 before
        added = pixels[:, :, 780:] if pixels.shape[2] == 784 else pixels[:, 780:]
        assert torch.equal(added, torch.tensor([104, 116, 124], dtype=torch.uint8).view(3, 1, 1).expand_as(added))
        four = 4 if removed else 0
        assert sample.img_padding_size == ((0, four, 0, 0) if pixels.shape[2] == 784 else (0, 0, 0, four))


def test_any_folders_of_images_and_labels(tmp_path):
    for folder in ('images', 'labels'):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / 'a.png'), np.ones((8, 8), np.uint8))
    options = dict(data_prefix=dict(img_path='images', seg_map_path='labels'), img_suffix='.png')
    dataset = FolderDataset(data_root=str(tmp_path), metainfo=dict(classes=('a', 'b')), **options)
    assert len(dataset) == 1
    assert dataset.encoding[:3].tolist() == [0, 1, -1]
    for test_mode in (False, True):
        with pytest.raises(ValueError, match=r'`metainfo` \(None\) has no classes'):
            FolderDataset(data_root=str(tmp_path), test_mode=test_mode, **options)


def folders(tmp_path, values, **options):
    """A dataset of one image, whose label file holds these values in a row."""
    for folder in ('images', 'labels'):
        (tmp_path / folder).mkdir(exist_ok=True)
    labels = np.array([values], np.uint8)
    cv2.imwrite(str(tmp_path / 'images' / 'a.png'), np.zeros((*labels.shape, 3), np.uint8))
    cv2.imwrite(str(tmp_path / 'labels' / 'a.png'), labels)
    options = dict(metainfo=dict(classes=('a', 'b')), **options) if 'metainfo' not in options else options
    return FolderDataset(
        data_root=str(tmp_path),
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        img_suffix='.png',
        pipeline=[dict(type='hrnet_plugins.LoadLabels')],
        **options,
    )


CODINGS = {
    'in order': ({}, [0, 1, 255], [0, 1, 255]),
    'from 1': (dict(reduce_zero_label=True), [0, 1, 2, 255], [255, 0, 1, 255]),
    'by value': (dict(label_values=(0, 255)), [0, 255], [0, 1]),
    'by value, some ignored': (dict(label_values=(9, 4)), [9, 4, 255], [0, 1, 255]),
    'nothing but ignored': (dict(label_values=(0, 1)), [0, 255], [0, 255]),
}


@pytest.mark.parametrize('coding', CODINGS)
def test_values_of_label_files_become_labels(coding, tmp_path):
    options, values, labels = CODINGS[coding]
    assert folders(tmp_path, values, **options)[0]['gt_seg_map'].tolist() == [labels]


@pytest.mark.parametrize(
    ('values', 'options', 'message'),
    [
        ([0, 255], {}, r'hold only 0, 255, as \S*a.png, .* say .*label_values=\(0, 255\)'),
        ([255, 255], {}, 'hold only 255'),
        ([0, 255], dict(reduce_zero_label=True), 'hold only 0, 255'),
        (
            [0],
            dict(label_values=(0,)),
            '`label_values` has 1 values for 2 classes',
        ),
        ([0], dict(label_values=(0, 65536)), 'from 0 to 65535'),
        (
            [0],
            dict(label_values=(0, 1), reduce_zero_label=True),
            r'`reduce_zero_label` \(True\) shifts labels that FolderDataset has already',
        ),
    ],
)
def test_labels_that_would_be_ignored_or_shifted_in_silence(values, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        folders(tmp_path, values, **options)


def test_cityscapes_labels_are_not_shifted(laid_out):
    cfg = laid_out('cityscapes').val_dataloader.dataset
    with pytest.raises(ValueError, match=r'`reduce_zero_label` .* CityscapesDataset'):
        DATASETS.build(dict(cfg, reduce_zero_label=True))


@pytest.mark.parametrize('reduce_zero_label', [False, True])
def test_mmsegs_own_datasets_in_our_pipeline(reduce_zero_label, tmp_path):
    from mmseg.datasets import BaseSegDataset  # noqa: PLC0415

    folders(tmp_path, [0, 1, 2, 255])
    found = [
        BaseSegDataset(
            data_root=str(tmp_path),
            data_prefix=dict(img_path='images', seg_map_path='labels'),
            img_suffix='.png',
            metainfo=dict(classes=('a', 'b')),
            reduce_zero_label=reduce_zero_label,
            pipeline=[dict(type=load)],
        )[0]['gt_seg_map']
        for load in ('hrnet_plugins.LoadLabels', 'mmseg.LoadAnnotations')
    ]
    assert (found[0] == found[1]).all()
