"""Predictions are those of the frameworks' own functions, whatever they are asked for with, and are written whole."""

import importlib
import io
import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image
from pycocotools.coco import COCO
from rich.console import Console

import hrnet_plugins as hp
from hrnet_plugins.cli import main
from hrnet_plugins.live_line import LiveLine
from hrnet_plugins.prediction.pictures import find_sources
from hrnet_plugins.prediction.predict import predictions
from hrnet_plugins.prediction.progress import Bar
from tests.helpers.own_sets import CLASSES

TASKS = ('detection', 'segmentation', 'classification')
VAL = {'detection': 'data/val/*.jpg', 'segmentation': 'data/val/*.png', 'classification': 'data/val/*/*.jpg'}


def run(*args):
    """The exit code, what was printed, and the errors."""
    result = CliRunner().invoke(main, ['predict', *map(str, args)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def tensors(sample):
    """What a sample predicts, by name."""
    if 'pred_instances' in sample:
        found = sample.pred_instances
        return {name: torch.as_tensor(found[name]) for name in ('bboxes', 'scores', 'labels', 'masks')}
    if 'pred_sem_seg' in sample:
        return {'labels': sample.pred_sem_seg.data}
    return {'score': sample.pred_score, 'label': sample.pred_label}


def same(a, b, *, atol=0.0):
    a, b = tensors(a), tensors(b)
    return a.keys() == b.keys() and all(torch.allclose(a[name].float(), b[name].float(), atol=atol) for name in a)


def alike(a, b):
    """Whether all but few boxes of a sample have their like, of the same class, in another."""
    a, b = a.pred_instances, b.pred_instances
    distance = (a.bboxes[:, None] - b.bboxes[None]).abs().amax(-1)
    distance[a.labels[:, None] != b.labels[None]] = 1e9
    return len(a) > 10 and (distance.amin(1) < 0.1).float().mean() > 0.95


def theirs(task, model, paths):
    """What the framework's own function predicts."""
    scope = model.cfg.default_scope
    with DefaultScope.overwrite_default_scope(scope):
        if task == 'detection':
            return importlib.import_module('mmdet.apis').inference_detector(model, paths)
        if task == 'segmentation':  # mmseg's does not know our step for labels: its test set has the same pictures
            dataset = DATASETS.build(model.cfg.test_dataloader.dataset)
            rows = [dataset[i] for i in range(len(dataset))]
            batches = [dict(inputs=[row['inputs']], data_samples=[row['data_samples']]) for row in rows]
            with torch.no_grad():
                return [model.test_step(batch)[0] for batch in batches]
        model._config = model.cfg  # as mmpretrain's own models have it
        inferencer = importlib.import_module('mmpretrain.apis').ImageClassificationInferencer(model, pretrained=False)
        return inferencer(paths, return_datasamples=True)


@pytest.mark.parametrize('task', TASKS)
def test_predictions_are_the_frameworks_own(task, work):
    folder = work(task)
    paths = sorted(map(str, folder.glob(VAL[task].replace('val', 'test'))))
    model = hp.create_model(folder / 'run' / 'own.py', checkpoint=next((folder / 'run').glob('best_*.pth')))
    found = hp.predict(folder / 'run', paths)
    expected = theirs(task, model, paths)
    assert len(found) == len(paths) == len(expected) > 1
    assert [sample.img_path for sample in found] == paths
    for a, b in zip(found, expected):
        # The classifiers' inferencer reads with another decoder than the config's test does.
        assert same(a, b, atol=0.02 if task == 'classification' else 1e-4)


@pytest.mark.parametrize('task', TASKS)
def test_batches_arrays_and_a_model_give_the_same(task, work):
    folder = work(task)
    paths = sorted(folder.glob(VAL[task]))
    one = hp.predict(folder / 'run', str(folder / VAL[task]))
    model = hp.create_model(folder / 'own.py', checkpoint=next((folder / 'run').glob('best_*.pth')))
    several = hp.predict(model, paths, batch=2)
    arrays = hp.predict(model, [cv2.imread(str(path)) for path in paths])
    for a, b, c in zip(one, several, arrays, strict=True):
        # Of a detector that knows little, scores are so near to each other that rounding changes their order.
        assert same(a, c, atol=1e-4) and (same(a, b, atol=1e-3) if task != 'detection' else alike(a, b))


def test_accelerated_predictions_are_the_same(work):
    folder = work('segmentation')
    plain, fast, half = (
        hp.predict(folder / 'run', folder / 'data' / 'val', **options)
        for options in (dict(), dict(fast=True), dict(dtype='bf16'))
    )
    for a, b, c in zip(plain, fast, half, strict=True):
        assert torch.allclose(a.seg_logits.data, b.seg_logits.data, atol=1e-3)
        difference = (a.seg_logits.data - c.seg_logits.data).abs().max()
        assert 0 < difference < 0.1 * a.seg_logits.data.abs().max(), 'another precision, and nearly the same'


def test_detector_writes_drawings_and_results_that_coco_reads(work, tmp_path):
    folder = work('detection')
    code, printed, _ = run(folder / 'run', folder / 'data' / 'val', '--out', tmp_path, '--score', '0')
    assert code == 0 and '3 pictures in' in printed and str(tmp_path) in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ['b00.jpg', 'b01.jpg', 'b02.jpg', 'predictions.json']
    drawn = cv2.imread(str(tmp_path / 'b00.jpg')).astype(int)
    plain = cv2.imread(str(folder / 'data' / 'val' / 'b00.jpg')).astype(int)
    assert drawn.shape == plain.shape and np.abs(drawn - plain).max() > 100
    rows = json.loads((tmp_path / 'predictions.json').read_text())
    samples = hp.predict(folder / 'run', folder / 'data' / 'val')
    assert len(rows) == sum(len(sample.pred_instances) for sample in samples) > 0
    assert {row['category'] for row in rows} <= set(CLASSES)
    truth = COCO(str(folder / 'data' / 'annotations' / 'instances_val.json'))
    assert {row['image_id'] for row in rows} <= set(truth.getImgIds())
    assert {row['category_id'] for row in rows} <= set(truth.getCatIds())
    names = {row['file_name'].split('/')[-1]: row['image_id'] for row in rows}
    assert all(truth.imgs[number]['file_name'] == name for name, number in names.items())
    read = truth.loadRes(str(tmp_path / 'predictions.json'))
    first = rows[0]
    mask = read.annToMask(read.loadAnns([1])[0])
    box = samples[0].pred_instances.bboxes[0]
    assert first['bbox'] == pytest.approx([*box[:2].tolist(), *(box[2:] - box[:2]).tolist()], abs=0.02)
    assert (mask == np.asarray(samples[0].pred_instances.masks[0])).all()


def test_results_of_other_pictures_are_counted(work, tmp_path):
    folder = work('detection')
    shutil.copy(folder / 'data' / 'val' / 'b00.jpg', tmp_path / 'x.jpg')
    run(folder / 'run', tmp_path / 'x.jpg', '--out', tmp_path / 'shown', '--no-drawings')
    rows = json.loads((tmp_path / 'shown' / 'predictions.json').read_text())
    assert {row['image_id'] for row in rows} == {1}
    assert [path.name for path in (tmp_path / 'shown').iterdir()] == ['predictions.json']


def test_segmentor_writes_label_maps(work, tmp_path):
    folder = work('segmentation')
    code, _, _ = run(folder / 'run', folder / 'data' / 'val', '--out', tmp_path)
    assert code == 0
    content = json.loads((tmp_path / 'predictions.json').read_text())
    assert content['classes'] == ['ground', *CLASSES]
    samples = hp.predict(folder / 'run', folder / 'data' / 'val')
    for row, sample in zip(content['pictures'], samples, strict=True):
        mask = Image.open(tmp_path / row['mask'])
        assert mask.mode == 'P'
        seen = {tuple(colour) for colour in np.asarray(mask.convert('RGB')).reshape(-1, 3)}
        assert len(seen) == len(np.unique(np.asarray(mask))), 'each class has its own colour'
        assert (np.asarray(mask) == np.asarray(sample.pred_sem_seg.data[0])).all()
        assert sum(row['share'].values()) == pytest.approx(1, abs=1e-3)
        drawing = cv2.imread(str((tmp_path / row['mask'].removeprefix('masks/')).with_suffix('.jpg')))
        assert drawing.shape[1] == mask.width and drawing.shape[0] > mask.height, 'a legend is below'


def test_classifier_writes_classes(work, tmp_path):
    folder = work('classification')
    code, _, _ = run(folder / 'run', folder / VAL['classification'], '--out', tmp_path)
    rows = json.loads((tmp_path / 'predictions.json').read_text())
    assert code == 0 and len(rows) == 6
    assert all(row['category'] == CLASSES[row['label']] and row['score'] == max(row['scores']) for row in rows)
    # A pattern's names keep the folders that it leaves open.
    assert (tmp_path / 'ball' / 'valball0.jpg').is_file()


@pytest.mark.parametrize('where', ['folder', 'checkpoint', 'config', 'config-option', 'last'])
def test_what_is_meant_by_where(where, work, tmp_path):
    folder = work('classification')
    best, last = next((folder / 'run').glob('best_*.pth')), folder / 'run' / 'epoch_2.pth'
    picture = next((folder / 'data' / 'val').rglob('*.jpg'))
    words = {
        'folder': [folder / 'run'],
        'checkpoint': [last],
        'config': [folder / 'own.py', last],
        'config-option': ['--checkpoint', last, folder / 'own.py'],
        'last': ['--checkpoint', last, folder / 'run'],
    }[where]
    code, _, _ = run(*words, picture, '--out', tmp_path)
    (row,) = json.loads((tmp_path / 'predictions.json').read_text())
    model = hp.create_model(folder / 'own.py', checkpoint=best if where == 'folder' else last)
    (sample,) = hp.predict(model, picture)
    assert code == 0 and row['scores'] == pytest.approx(sample.pred_score.tolist(), abs=1e-4)


def broken(folder):
    """Two good pictures and two that cannot be read."""
    folder.mkdir()
    for name in ('a', 'd'):
        Image.new('RGB', (64, 48), 'red').save(folder / f'{name}.png')
    (folder / 'b.jpg').write_bytes(b'no picture')
    Image.effect_noise((64, 48), 50).save(folder / 'whole.jpg')
    (folder / 'c.jpg').write_bytes((folder / 'whole.jpg').read_bytes()[:-600])
    (folder / 'whole.jpg').unlink()
    return folder


def test_unreadable_pictures_are_named_and_left_out(work, tmp_path):
    run_folder = work('classification') / 'run'
    pictures = broken(tmp_path / 'in')
    code, printed, errors = run(run_folder, pictures, '--out', tmp_path / 'out')
    assert code == 1
    assert 'b.jpg was left out: UnidentifiedImageError' in errors and 'c.jpg was left out: OSError' in errors
    assert '2 of 4 could not be read' in errors and '2 pictures in' in printed
    rows = json.loads((tmp_path / 'out' / 'predictions.json').read_text())
    assert [row['file_name'].split('/')[-1] for row in rows] == ['a.png', 'd.png']
    with pytest.warns(UserWarning, match=r'[bc]\.jpg was left out'):
        samples = hp.predict(run_folder, pictures)
    assert len(samples) == 2


@pytest.mark.parametrize('task', ['detection', 'segmentation'])
def test_video(task, work, tmp_path):
    folder = work(task)
    writer = cv2.VideoWriter(str(tmp_path / 'clip.avi'), cv2.VideoWriter.fourcc(*'MJPG'), 5, (96, 64))
    picture = cv2.imread(str(next((folder / 'data' / 'val').glob('*'))))
    for _ in range(3):
        writer.write(picture)
    writer.release()
    code, printed, _ = run(folder / 'run', tmp_path / 'clip.avi', '--out', tmp_path / 'out', '--score', '0')
    assert code == 0 and '3 pictures and frames' in printed
    content = json.loads((tmp_path / 'out' / 'predictions.json').read_text())
    rows = content if task == 'detection' else content['pictures']
    assert {row['frame'] for row in rows} == {0, 1, 2}
    if task == 'detection':
        assert {row['image_id'] for row in rows} == {1, 2, 3}
    else:
        assert (tmp_path / 'out' / 'masks' / 'clip' / '000002.png').is_file()
    drawn = cv2.VideoCapture(str(tmp_path / 'out' / 'clip.mp4'))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 3 and drawn.get(cv2.CAP_PROP_FPS) == pytest.approx(5)
    drawn.release()


def test_no_video_in_it(work, tmp_path):
    (tmp_path / 'clip.mp4').write_bytes(b'no video')
    code, _, errors = run(work('classification') / 'run', tmp_path / 'clip.mp4', '--out', tmp_path / 'out')
    assert code == 1 and 'clip.mp4 was left out: no frame of the video can be read' in errors


def test_pictures_are_read_only_as_far_as_they_are_needed(work):
    """Ten thousand pictures do not fill the memory: at most a few are read ahead."""
    model = hp.create_model(work('classification') / 'own.py', checkpoint=False)
    read = []
    sources = find_sources([np.zeros((48, 64, 3), np.uint8)] * 50)
    iterator = predictions(model, (read.append(source) or source for source in sources))
    next(iterator)
    assert len(read) < 12
    iterator.close()


def test_bar():
    out, clock = io.StringIO(), iter(range(0, 1000, 6))
    bar = Bar(4, line=LiveLine(console=Console(file=out, width=100), clock=lambda: next(clock)))
    for _ in range(4):
        bar.advance()
    first = out.getvalue().splitlines()[0]
    assert first.startswith('[######..................] 1/4 pictures') and first.endswith('left')
