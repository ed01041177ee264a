"""The command: one clear line for each wrong input, and from a folder to a tested checkpoint."""

import json
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hrnet_plugins.cli import main
from tests.helpers.own_sets import (
    coco_annotations,
    coco_files,
    folders_flat,
    labelme_flat,
    masks_camvid,
    masks_coloured,
    masks_cvat,
    masks_voc,
    save,
    scene,
    sets,
    voc_flat,
    voc_folders,
    voc_main,
    yolo_bare,
    yolo_images,
)


def run(*args):
    """The exit code and what was printed."""
    result = CliRunner().invoke(main, ['new', *map(str, args)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def nothing(folder):
    folder.mkdir()


def a_file(folder):
    folder.write_text('')


def only_pictures(folder):
    save(scene('a', 0), folder)


def two_formats(folder):
    voc_flat(folder, sets())
    yolo_images(folder / 'yolo', sets())


def boxes_and_labels(folder):
    masks_voc(folder, sets())
    voc_main(folder, sets())
    for part in ('Annotations', 'ImageSets/Main', 'JPEGImages'):
        for path in (folder / 'VOC2012' / part).iterdir():
            (folder / part).mkdir(parents=True, exist_ok=True)
            path.rename(folder / part / path.name)


def two_vocs(folder):
    voc_main(folder, sets())
    (folder / 'VOC2012').rename(folder / 'VOC2007')
    voc_main(folder, sets())


def two_cocos(folder):
    coco_files(folder, sets())
    (folder / 'other_train.json').write_text((folder / 'train.json').read_text())


def no_names(folder):
    yolo_bare(folder, sets())
    (folder / 'classes.txt').unlink()


def gaps(folder):
    yolo_images(folder, sets())
    (folder / 'data.yaml').write_text('path: .\ntrain: images/train\nnames: {0: a, 2: b}\n')


def wrong_yaml(folder):
    yolo_images(folder, sets())
    for part in ('images', 'labels'):
        (folder / part).rename(folder / f'my-{part}')
    for path in folder.rglob('*.txt'):
        path.unlink()


def test_set_alone(folder):
    coco_files(folder, sets())
    (folder / 'train.json').unlink()
    (folder / 'val.json').unlink()


def without_set(folder):
    coco_files(folder, sets())
    (folder / 'train.json').rename(folder / 'things.json')
    (folder / 'test.json').unlink()


def two_yamls(folder):
    yolo_images(folder, sets())
    (folder / 'other.yaml').write_text((folder / 'data.yaml').read_text())


def words_for_numbers(folder):
    yolo_images(folder, sets())
    (folder / 'data.yaml').write_text('path: .\ntrain: images/train\nnames: {ball: 0, box: 1}\n')


def a_number_of_names(folder):
    yolo_images(folder, sets())
    (folder / 'data.yaml').write_text('path: .\ntrain: images/train\nnc: 3\n')


def no_utf8(folder):
    yolo_bare(folder, sets())
    path = folder / 'classes.txt'
    path.write_text(path.read_text(), encoding='utf-16')


def vocs_of_one_set(folder):
    voc_folders(folder, sets())
    shutil.copytree(folder / 'train', folder / 'training')


def vocs_apart(folder):
    voc_folders(folder, sets())
    (folder / 'test').rename(folder / 'more')


def voc_alone(folder):
    voc_flat(folder, sets())
    for path in folder.glob('*.jpg'):
        path.unlink()


def class_list(layout, change):
    """A layout whose list of classes is changed."""

    def make(folder):
        layout(folder, sets())
        (path,) = (p for p in folder.iterdir() if p.suffix in ('.txt', '.csv'))
        path.write_text(change(path.read_text()))

    return make


def grey_photographs(folder):
    masks_camvid(folder, sets())
    for path in sorted(folder.glob('*annot/*.png'))[1:]:
        ramp = np.arange(96 * 64, dtype=np.uint16).reshape(64, 96) % 256
        Image.fromarray(ramp.astype(np.uint8)).save(path)


def one_picture(folder):
    labelme_flat(folder, {'train': [scene('a', 0)]})


def photographs_for_labels(folder):
    masks_camvid(folder, sets())
    (folder / 'classes.txt').unlink()
    for path in folder.glob('*annot/*.png'):
        scene('a', 3).image.save(path)


test_set_alone.__test__ = False

WRONG = {
    'no-folder': (lambda f: None, [], r'`--data` \(.*\) does not exist'),
    'a-file': (a_file, [], r'`--data` \(.*\) is a file: name the folder'),
    'empty': (nothing, [], r'`--data` \(.*\) is empty'),
    'no-layout': (
        only_pictures,
        [],
        r'no layout that is known. Looked for(\n.*(COCO|VOC|YOLO|LabelMe|label maps|classes):.*){6}\nand found 1 \.jpg',
    ),
    'two-formats': (two_formats, [], r'fits more than one format: voc .*; yolo .*--format, or --task'),
    'two-tasks': (boxes_and_labels, [], r'fits more than one format: voc .*; masks .*--format, or --task'),
    'two-vocs': (two_vocs, [], r'VOC2007 and VOC2012 are both in the layout of PASCAL VOC: name one'),
    'two-cocos': (two_cocos, [], r'other_train\.json, train\.json are COCO files of one set \(train\)'),
    'no-names': (no_names, [], r'no YAML file or classes\.txt names the classes: say them in order with --classes'),
    'gaps': (gaps, [], r'`names` of .*data\.yaml must be numbered from 0 without gaps'),
    'wrong-yaml': (wrong_yaml, [], r'data\.yaml describes a YOLO data set, and the pictures are neither where it says'),
    'without-set': (without_set, [], r'things\.json.* are COCO files, and not all of them belong to a set'),
    'two-yamls': (two_yamls, [], r'data\.yaml, other\.yaml each describe a YOLO data set'),
    'words-for-numbers': (
        words_for_numbers,
        [],
        r"data\.yaml must be numbered from 0, and has the keys \['ball', 'box'\]",
    ),
    'a-number-of-names': (a_number_of_names, [], r'`names` of .*data\.yaml \(None\) must be a list or a mapping'),
    'no-utf8': (no_utf8, [], r'classes\.txt cannot be read as text: save it as UTF-8'),
    'vocs-of-one-set': (
        vocs_of_one_set,
        [],
        r'two folders hold VOC annotations of one set \(train\): train and training',
    ),
    'vocs-apart': (vocs_apart, [], r'more and valid hold VOC annotations, and not all of them belong to a set'),
    'voc-alone': (voc_alone, [], r'holds VOC annotations in \./ and no picture'),
    'colour-above-255': (
        class_list(masks_cvat, lambda text: text.replace('128,0,0', '256,0,0')),
        [],
        r'line 3 of the list of classes .*labelmap\.txt has a colour above 255',
    ),
    'short-line': (
        class_list(masks_coloured, lambda text: text.replace('ball,128,0,0', 'ball,128')),
        [],
        r'line 3 of the list of classes .*class_dict\.csv \(ball,128\) is not as its head',
    ),
    'no-colours': (
        class_list(masks_coloured, lambda text: 'name\nground\nball\nbox\ntile\n'),
        [],
        r'the label maps are coloured, and the classes \(ground, ball, box, tile, \.\.\.\) have no colours',
    ),
    'no-colour': (
        class_list(masks_cvat, lambda text: text.replace('ball:128,0,0::', 'ball')),
        [],
        r'ball has no colour in the list of classes, and the label maps are coloured',
    ),
    'grey-photographs': (grey_photographs, [], r'hold 256 distinct values, which cannot all be classes'),
    'test-alone': (test_set_alone, [], r'has test and no train'),
    'one-picture': (one_picture, [], r'has 1 picture to train with'),
    'photographs': (
        photographs_for_labels,
        ['--format', 'masks'],
        r'no layout that is known|which cannot all be classes',
    ),
    'format': (coco_files, ['--format', 'pascal'], r'`--format` \(pascal\) is unknown; known: coco, voc'),
    'task': (coco_files, ['--task', 'boxes'], r'`--task` \(boxes\) is unknown; known: detection'),
    'format-and-task': (
        coco_files,
        ['--format', 'coco', '--task', 'segmentation'],
        r'is for detection, and `--task` says',
    ),
    'other-format': (
        coco_files,
        ['--format', 'voc'],
        r'no layout that is known. Looked for\n.*PASCAL VOC.*\nand found',
    ),
    'recipe': (
        coco_files,
        ['--recipe', 'faster-rcnn_hrnetv2p-w19_1x_coco'],
        r'`--recipe` \(faster.*w19.*\) is neither a file nor a recipe.*did you mean',
    ),
    'recipe-task': (
        coco_files,
        ['--recipe', 'hrnet-w18_100e_in1k'],
        r'`--recipe` \(hrnet-w18_100e_in1k\) is for classification, and .* holds coco for detection',
    ),
    'recipe-tests': (
        coco_files,
        ['--recipe', 'faster-rcnn_hrnetv2p-w18-official_coco'],
        r'only tests, it has no training',
    ),
    'recipe-outlines': (
        coco_files,
        ['--recipe', 'mask-rcnn_hrnetv2p-w18_1x_coco'],
        r'learns outlines, and the objects of .* have none',
    ),
    'arch': (coco_files, ['--arch', 'w19'], r'`--arch` \(w19\) is unknown; known: w18_small_v1'),
    'arch-resnet': (
        coco_files,
        ['--recipe', 'fcos_r50-5l_2x_coco', '--arch', 'w18'],
        r'`--arch` \(w18\) needs a recipe with a named HRNet',
    ),
    'weights': (coco_files, ['--weights', 'w19'], r'`--weights` \(w19\) cannot be had'),
    'contradiction': (coco_files, ['--pretrained-only'], r'`--from-scratch` contradicts'),
    'heads': (coco_files, ['--heads', 'tiny'], r'`--heads` \(tiny\) must be small or full'),
    'epochs': (coco_files, ['--epochs', '0'], r'`--epochs` \(0\) must be 1 at least'),
    'size': (coco_files, ['--size', '8'], r'`--size` \(8\) must be 32 at least'),
    'val-share': (coco_files, ['--val-share', '1'], r'`--val-share` \(1\.0\) must be between 0 and 1'),
    'classes': (coco_files, ['--classes', 'a,b'], r'`--classes` \(a,b\) is for label maps and YOLO'),
    'classes-empty': (masks_camvid, ['--classes', 'a,,b'], r'`--classes` \(a,,b\) must be names'),
    'ignore': (coco_files, ['--ignore', '3'], r'`--ignore` \(3\) is for the values of label maps'),
}


@pytest.mark.parametrize('name', WRONG)
def test_wrong_inputs_are_one_clear_message(name, tmp_path):
    make, options, message = WRONG[name]
    folder = tmp_path / 'data'
    takes_sets = make.__module__ == 'tests.helpers.own_sets' and not make.__name__.startswith('folders')
    make(folder, *([sets()] if takes_sets else []))
    if '--weights' not in options:
        options = [*options, '--from-scratch']
    code, output = run(tmp_path / 'own.py', '--data', folder, *options)
    assert code == 1, output
    error = output[output.index('Error: ') :]
    assert re.search(message, error), error
    assert 'Traceback' not in output and not list(tmp_path.glob('own*'))


def test_files_that_are_there_stay_unless_forced(tmp_path):
    coco_annotations(tmp_path / 'data', sets())
    (tmp_path / 'own.py').write_text('mine')
    code, output = run(tmp_path / 'own.py', '--data', tmp_path / 'data', '--from-scratch')
    assert code == 1 and 'own.py is there already; name another file, or --force' in output
    assert (tmp_path / 'own.py').read_text() == 'mine'
    code, output = run(tmp_path / 'own.py', '--data', tmp_path / 'data', '--from-scratch', '--force')
    assert code == 0 and (tmp_path / 'own.py').read_text() != 'mine'


@pytest.mark.parametrize(
    ('name', 'message'), [('own.txt', 'must end in .py'), ("it's.py", 'no quotes, backslashes or')]
)
def test_names_of_configs_that_mmengine_cannot_read(name, message, tmp_path):
    coco_annotations(tmp_path / 'data', sets())
    code, output = run(tmp_path / name, '--data', tmp_path / 'data', '--from-scratch')
    assert code == 1 and message in output


def test_ambiguous_folders_are_decided_by_format_or_task(tmp_path):
    boxes_and_labels(tmp_path / 'data')
    for options in (['--task', 'segmentation'], ['--format', 'masks']):
        code, output = run(tmp_path / 'own.py', '--data', tmp_path / 'data', '--from-scratch', '--force', *options)
        assert code == 0 and 'Recipe: ocr_' in output
    code, output = run(tmp_path / 'own.py', '--data', tmp_path / 'data', '--from-scratch', '--force', '--format', 'voc')
    assert code == 0 and 'Recipe: faster-rcnn_' in output


def test_a_class_called_mask_is_no_label_map(tmp_path):
    for label in ('mask', 'no mask'):
        for i in range(4):
            save(scene(f'{i}', i), tmp_path / 'data' / label)
    code, output = run(tmp_path / 'own.py', '--data', tmp_path / 'data', '--from-scratch')
    assert code == 0 and 'folders' in output and 'Recipe: hrnet-' in output


def test_names_with_spaces_and_brackets(tmp_path):
    folders_flat(tmp_path / 'my [red] data')
    (tmp_path / 'my [red] data' / 'ball').rename(tmp_path / 'my [red] data' / 'a ball [x]')
    code, output = run(tmp_path / 'my own.py', '--data', tmp_path / 'my [red] data', '--from-scratch')
    assert code == 0, output
    assert "hrnet-plugins train '" in output
    assert 'aball[x]' in ''.join(output.split()), 'lines are folded where a path is long'


@pytest.mark.slow
def test_from_a_folder_to_a_tested_checkpoint(tmp_path):
    from tests.helpers.processes import run as run_python  # noqa: PLC0415

    yolo_images(tmp_path / 'data', sets(4, 2, 2))
    command = ('new', 'own.py', '--data', 'data', '--from-scratch', '--epochs', '1', '--batch', '2', '--size', '96')
    run_python(tmp_path, *command, module='hrnet_plugins.cli')
    run_python(tmp_path, 'train', 'own.py', module='hrnet_plugins.cli')
    best = next((tmp_path / 'work_dirs' / 'own').glob('best_*.pth'))
    run_python(tmp_path, 'test', 'own.py', best, module='hrnet_plugins.cli')
    (results,) = [p for p in (tmp_path / 'work_dirs' / 'own').glob('*/*.json') if 'scalars' not in p.name]
    assert 'coco/bbox_mAP' in json.loads(results.read_text())
