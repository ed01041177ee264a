"""The report: one page that holds all it shows, with scores that are those of the frameworks' own evaluators."""

import importlib
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData, PixelData

import hrnet_plugins as hp
from hrnet_plugins.cli import main
from hrnet_plugins.reporting.curves import _MOST_LOSSES, draw_curves
from hrnet_plugins.reporting.evaluate import Evaluation, _Ends, dataset_for, evaluate
from hrnet_plugins.reporting.page import Page, html
from hrnet_plugins.reporting.report import _duration
from hrnet_plugins.reporting.scores import judge_for
from hrnet_plugins.reporting.training_log import Log, read_log
from tests.helpers.own_sets import CLASSES

TASKS = ('detection', 'segmentation', 'classification')


def run(*args):
    """The exit code, what was printed, and the errors."""
    result = CliRunner().invoke(main, ['report', *map(str, args)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


class Reader(HTMLParser):
    """Collects the addresses of a page, its words, and checks that what is opened is closed."""

    EMPTY = frozenset({'meta', 'img', 'path', 'use', 'br'})

    def __init__(self, text):
        super().__init__()
        self.addresses, self.words, self.open = [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        if tag not in self.EMPTY:
            self.open.append(tag)
        self.addresses += [value for name, value in attrs if name in ('src', 'href', 'xlink:href', 'data', 'action')]

    def handle_startendtag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ('src', 'href', 'xlink:href')]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.parametrize('task', TASKS)
def test_page_holds_all_it_shows(task, work, tmp_path):
    folder = work(task)
    code, printed, errors = run(folder / 'run', '--out', tmp_path / 'page.html', '--pictures', '1')
    assert code == 0 and not errors and f'Written: {tmp_path / "page.html"}' in printed
    text = (tmp_path / 'page.html').read_text()
    page = Reader(text)
    words = ' '.join(page.words)
    assert all(address.startswith(('data:image/jpeg;base64,', '#')) for address in page.addresses), 'nothing elsewhere'
    assert not re.search(r'@import|url\((?!#)|<script|<link', text)
    assert sum(address.startswith('data:') for address in page.addresses) == 4, 'the best and the worst, two each'
    for name in CLASSES:
        assert name in words
    for section in ('Scores on the test set', 'By class', 'What is taken for what', 'Training', 'Where it is worst',
                    'Where it is best', 'How to go on', 'Config'):  # fmt: skip
        assert section in words, section
    for label in ('Training loss', 'Learning rate', 'Validation, per cent'):
        assert label in words, label
    assert f'hrnet-plugins predict {folder / "run"} PICTURES' in words
    assert 'default_scope' in words and 'w18_small_v1' in words


@pytest.mark.parametrize('task', TASKS)
def test_scores_are_the_frameworks_own(task, work):
    """The evaluator that the config names gives the same of the same predictions."""
    folder = work(task)
    model = hp.create_model(folder / 'own.py', checkpoint=next((folder / 'run').glob('best_*.pth')))
    found = evaluate(model, 'val', shown=0).judge.summary()
    cfg = Config.fromfile(folder / 'own.py')
    dataset = dataset_for(cfg, 'val')
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        evaluator = Evaluator(cfg.val_evaluator)
    evaluator.dataset_meta = dataset.metainfo
    for i in range(len(dataset)):
        data = dataset[i]
        inputs = data['inputs'][None] if task == 'classification' else [data['inputs']]
        with torch.no_grad():
            samples = model.test_step(dict(inputs=inputs, data_samples=[data['data_samples']]))
        evaluator.process(data_samples=samples)
    theirs = evaluator.evaluate(len(dataset))
    expected = {
        'detection': {
            'box mAP': 'coco/bbox_mAP',
            'box AP50': 'coco/bbox_mAP_50',
            'mask mAP': 'coco/segm_mAP',
            'mask AP50': 'coco/segm_mAP_50',
        },
        'segmentation': {'mean IoU': 'mIoU', 'mean accuracy': 'mAcc', 'accuracy of all pixels': 'aAcc'},
        'classification': {'top-1 accuracy': 'accuracy/top1'},
    }[task]
    for ours, name in expected.items():
        value = theirs[name] if task == 'detection' else theirs[name] / 100
        assert found[ours] == pytest.approx(value, abs=0.002), ours


def sample_of(true, found, size=(100, 100)):
    """A detector's data sample of boxes: (class, left, top, right, bottom), and a score before these."""

    def boxes(rows):
        return torch.tensor([row[-4:] for row in rows], dtype=torch.float32).reshape(-1, 4)

    sample = importlib.import_module('mmdet.structures').DetDataSample(metainfo=dict(ori_shape=size))
    sample.gt_instances = InstanceData(bboxes=boxes(true), labels=torch.tensor([r[0] for r in true], dtype=torch.long))
    sample.pred_instances = InstanceData(
        bboxes=boxes(found),
        labels=torch.tensor([r[0] for r in found], dtype=torch.long),
        scores=torch.tensor([r[1] for r in found], dtype=torch.float32),
    )
    return sample


def test_detections_are_matched():
    judge = judge_for('mmdet', ('a', 'b'))
    true = [(0, 0, 0, 20, 20), (1, 50, 50, 70, 70), (0, 80, 80, 90, 90)]
    found = [
        (0, 0.9, 0, 0, 20, 20),  # right
        (0, 0.8, 50, 50, 70, 70),  # b taken for a
        (1, 0.7, 20, 60, 40, 80),  # where nothing is
        (1, 0.1, 80, 80, 90, 90),  # too unsure to count
    ]
    assert judge.add(sample_of(true, found)) == pytest.approx(2 * 1 / (3 + 3))
    assert judge.confusion.tolist() == [[1, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert judge.add(sample_of([], [])) == 1
    assert judge.table().rows['a'][3] == 2 and judge.table().rows['b'][3] == 1
    assert judge.summary()['box AP50'] == pytest.approx((0.5050 + 0) / 2, abs=0.01)


def test_two_boxes_of_one_object_count_once():
    judge = judge_for('mmdet', ('a',))
    judge.add(sample_of([(0, 0, 0, 20, 20)], [(0, 0.9, 0, 0, 20, 20), (0, 0.8, 1, 0, 20, 20)]))
    assert judge.confusion.tolist() == [[1, 0], [1, 0]]


def test_a_detector_that_finds_nothing_has_scores():
    judge = judge_for('mmdet', ('a', 'b'))
    assert judge.add(sample_of([(0, 0, 0, 20, 20)], [])) == 0
    assert judge.summary() == {'box mAP': 0, 'box AP50': 0} and judge.confusion.tolist()[0] == [0, 0, 1]


def test_pixels_without_a_class_do_not_count():
    judge = judge_for('mmseg', ('a', 'b', 'c'))
    sample = importlib.import_module('mmseg.structures').SegDataSample()
    sample.gt_sem_seg = PixelData(data=torch.tensor([[[0, 0, 1, 255]]]))
    sample.pred_sem_seg = PixelData(data=torch.tensor([[[0, 1, 1, 2]]]))
    assert judge.add(sample) == pytest.approx(0.5)
    assert judge.confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    iou, accuracy, share = judge.table().rows['a']
    assert (iou, accuracy, share) == pytest.approx((0.5, 0.5, 2 / 3)) and np.isnan(judge.table().rows['c'][0])


def test_the_best_and_the_worst_are_not_the_same():
    ends = _Ends(2)
    for name, score in (('a', 0.5), ('b', 0.5), ('c', 0.9), ('d', 0.1), ('e', 0.5)):
        ends.add(score, name)
    best, worst = ends.both()
    assert best == [(0.9, 'c'), (0.5, 'a')] and worst == [(0.1, 'd'), (0.5, 'e')]
    few = _Ends(2)
    for name in 'abc':
        few.add(0.0, name)
    assert few.both() == ([(0.0, 'a'), (0.0, 'b')], [(0.0, 'c')])


def write_log(folder, name, rows):
    file = folder / name / 'vis_data' / 'scalars.json'
    file.parent.mkdir(parents=True)
    file.write_text('\n'.join(json.dumps(row) for row in rows) + '\n{"loss": 1, "st')


def test_log_of_a_resumed_training(tmp_path):
    write_log(
        tmp_path, '20260101_100000', [dict(loss=3.0, lr=0.1, step=s) for s in (1, 2, 3, 4)] + [dict(mIoU=10, step=2)]
    )
    write_log(
        tmp_path, '20260101_110000', [dict(loss=2.0, lr=0.1, step=s) for s in (3, 4, 5)] + [dict(mIoU=20, step=5)]
    )
    write_log(tmp_path, '20260101_120000', [dict(mIoU=99, step=0)])  # of a test
    log = read_log(tmp_path)
    assert [(row['step'], row['loss']) for row in log.train] == [(1, 3), (2, 3), (3, 2), (4, 2), (5, 2)]
    assert [row['mIoU'] for row in log.val] == [10, 20] and log.best('mIoU')['step'] == 5
    assert log.losses() == ['loss'] and log.scores() == ['mIoU']
    assert not read_log(tmp_path / 'nothing').train


def test_a_copied_work_folder_took_as_long(tmp_path):
    run = tmp_path / '20260102_030405'
    (run / 'vis_data').mkdir(parents=True)
    (run / 'vis_data' / 'scalars.json').write_text('{"loss": 1.0, "step": 5}\n')
    assert read_log(tmp_path).seconds > 24 * 3600, 'without a text log, the time of the file is all there is'
    text = '2026/01/02 03:04:06 - mmengine - INFO - \n----\nSystem:\n2026/01/02 03:14:05 - mmengine - INFO - step 5\n'
    (run / f'{run.name}.log').write_text(text)
    assert read_log(tmp_path).seconds == 600


def test_curves_are_written_as_asked(work, tmp_path):
    log = read_log(work('detection') / 'run')
    assert log.by_epoch and len(log.val) == 2 and {'loss', 'loss_mask'} <= set(log.losses())
    for suffix in ('.svg', '.png'):
        draw_curves(log, tmp_path / f'curves{suffix}')
    assert (tmp_path / 'curves.png').read_bytes().startswith(b'\x89PNG')
    assert 'mask mAP' in (tmp_path / 'curves.svg').read_text()
    assert draw_curves(log) == draw_curves(log), 'the same every time'


def test_what_is_missing_is_said(work, tmp_path):
    folder = work('classification')
    whole = folder / 'run'
    half = tmp_path / 'half'
    half.mkdir()
    shutil.copy(whole / 'own.py', half)
    code, _, errors = run(half)
    assert code == 0 and 'no log of a training' in errors and 'no checkpoint yet' in errors
    text = (half / 'report.html').read_text()
    assert 'No scores and pictures' in text and 'Train longer' in text and 'Predict' not in text
    shutil.copy(next(whole.glob('best_*.pth')), half)
    config = half / 'own.py'
    config.write_text(config.read_text().replace(str(folder / 'data'), str(tmp_path / 'moved')))
    code, _, errors = run(half, '--pictures', '0')
    assert code == 0 and 'No scores and pictures: the val set cannot be read: ' in errors


def test_limit_and_pictures_that_cannot_be_read(work, tmp_path):
    folder = tmp_path / 'copy'
    shutil.copytree(work('classification'), folder)
    config = folder / 'run' / 'own.py'
    config.write_text(config.read_text().replace(str(work('classification')), str(folder)))
    next((folder / 'data' / 'test' / 'ball').glob('*.jpg')).write_bytes(b'no picture')
    assert run(folder / 'run', '--split', 'test')[0] == 0
    text = (folder / 'run' / 'report.html').read_text()
    assert '>5 pictures<' in text and '1 could not be read' in text
    assert run(folder / 'run', '--split', 'val', '--limit', '3', '--pictures', '0')[0] == 0
    text = (folder / 'run' / 'report.html').read_text()
    assert '>3 pictures<' in text and 'data:image' not in text


def test_sets_that_a_config_has_not():
    with pytest.raises(ValueError, match=r'`split` \(val\): the config has no val_dataloader'):
        dataset_for(Config(dict(default_scope='mmdet')), 'val')
    with pytest.raises(ValueError, match=r'`split` \(train\): the config has no other set whose steps for testing'):
        dataset_for(Config(dict(default_scope='mmdet', train_dataloader=dict(dataset=dict()))), 'train')


def test_a_set_of_which_nothing_can_be_read(work, tmp_path):
    folder = tmp_path / 'copy'
    shutil.copytree(work('classification'), folder)
    config = folder / 'run' / 'own.py'
    config.write_text(config.read_text().replace(str(work('classification')), str(folder)))
    for path in (folder / 'data' / 'test').rglob('*.jpg'):
        path.write_bytes(b'no picture')
    code, _, errors = run(folder / 'run', '--split', 'test', '--checkpoint', next((folder / 'run').glob('best_*.pth')))
    assert code == 0 and 'no picture of the test set can be read: ' in errors


@pytest.mark.parametrize(
    ('seconds', 'text'), [(59, '59 seconds'), (119.6, '120 seconds'), (600, '10 minutes'), (9000, '2.5 hours')]
)
def test_how_long_a_training_took(seconds, text):
    assert _duration(seconds) == text


def test_of_many_losses_the_largest_are_drawn():
    rows = [dict(step=i, loss=9.0 - i, **{f'loss_{k:02d}': float(k) for k in range(12)}) for i in (1, 2)]
    drawn = draw_curves(Log(train=rows))
    assert [name for name in Log(train=rows).losses() if f'>{name}<' in drawn] == [
        'loss', *(f'loss_{k:02d}' for k in range(12 - _MOST_LOSSES, 12))]  # fmt: skip


def test_runs_that_are_named_by_hand_have_no_time(tmp_path):
    file = tmp_path / 'mine' / 'vis_data' / 'scalars.json'
    file.parent.mkdir(parents=True)
    file.write_text('{"loss": 1.0, "step": 1}\n[]\n{"loss": 0.5, "st')
    log = read_log(tmp_path)
    assert (log.train, log.seconds) == ([dict(loss=1.0, step=1)], 0.0)


WRONG = {
    'no-folder': (['nowhere'], r'`work_dir` \(nowhere\) is not a folder: name the work folder'),
    'no-work-folder': (['empty'], r'`work_dir` \(empty\) is no work folder: it has no config'),
    'split': (['empty', '--split', 'dev'], r'`split` \(dev\) must be one of test, val, train'),
    'pictures': (['empty', '--pictures', '-1'], r'`pictures` \(-1\) must be 0 at least'),
    'limit': (['empty', '--limit', '0'], r'`limit` \(0\) must be 1 at least'),
    'out': (['empty', '--out', 'empty'], r'`out` \(empty\) is a folder: name a file, such as empty/report\.html'),
    'checkpoint': (['run', '--checkpoint', 'x.pth'], r'`checkpoint` \(x\.pth\) is not there'),
}


@pytest.mark.parametrize('name', WRONG)
def test_one_line_says_what_is_wrong(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'own.py').write_text("default_scope = 'mmdet'\n")
    words, message = WRONG[name]
    code, _, errors = run(*words)
    assert code == 1 and re.search(message, errors), errors


def test_nothing_of_the_users_is_taken_for_html():
    evil = '<script>alert(1)</script>&"'
    page = Page(evil, facts=[(evil, evil)], notes=[evil], commands=[(evil, evil)], config=evil,
                validations=[[evil], [evil]])  # fmt: skip
    text = html(page)
    assert '<script>' not in text and text.count('&lt;script&gt;') == 10
    Reader(text)


def test_many_classes_show_the_pairs_that_are_mistaken():
    names = [f'class {i}' for i in range(30)]
    judge = judge_for('mmpretrain', names)
    judge.confusion += np.eye(30, dtype=np.int64) * 10
    judge.confusion[3, 7] = 5
    text = html(Page('many', evaluation=Evaluation('val', judge, count=305), names=names))
    assert 'Of 30 classes, the pairs that are mistaken most often' in text
    assert '<td>class 3</td><td>class 7</td><td>5</td><td>33.3</td>' in text
