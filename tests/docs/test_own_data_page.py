"""The runs on docs/own-data.md: their commands, the configs and what `new` prints; docs/tutorial.md repeats one."""

import json
import re
import sys

import pytest
from click.testing import CliRunner

from hrnet_plugins import cli
from hrnet_plugins.data import Machine
from hrnet_plugins.data.formats import FORMATS, find
from projects.digits import data
from tests.helpers import own_sets
from tests.helpers.pages import blocks, commands
from tests.helpers.paths import ROOT
from tests.helpers.processes import run

PAGE = ROOT / 'docs' / 'own-data.md'
RECORDED = ROOT / 'projects' / 'digits' / 'recorded'
BLOCKS = [block for block in blocks(PAGE) if block.test]
RUNS = {'detection': 'digits', 'segmentation': 'areas', 'classification': 'classes'}
"""The config of each task, without its ending."""
SCORES = {'detection': 'coco/bbox_mAP', 'segmentation': 'mIoU', 'classification': 'accuracy/top1'}
SHOWN = (own_sets.coco_roboflow, own_sets.voc_main, own_sets.yolo_images, own_sets.labelme_flat, own_sets.masks_mmseg,
         own_sets.folders_split)  # fmt: skip
"""The layouts of the table of formats."""


def commands_of(name):
    """The commands of a run, in the order of the page."""
    found = [words for block in BLOCKS if block.language == 'bash' for words in commands(block)]
    return [words for words in found if words[2] in (f'{name}.py', f'work_dirs/{name}')]


def squeezed(text):
    """Text without its line breaks and widths, and with the folder of the data as on the page."""
    text = re.sub(r'Could not import OneDL(\. Skipping OneDL datasets\.)?', '', text)  # the frameworks', when imported
    return re.sub(r'\S*/(?=data/digits)', '', ' '.join(text.split()))


def in_config(text):
    """A config without the place of the checkout."""
    return re.sub(r"(_base_ = ').*?(?=configs/)", r'\1', text)


@pytest.mark.parametrize('task', RUNS)
def test_new_writes_and_prints_what_is_shown(task, digits, monkeypatch):
    monkeypatch.chdir(digits)
    monkeypatch.setenv('COLUMNS', '200')  # else long lines are broken by the length of the folder's name
    monkeypatch.setattr(Machine, 'here', lambda: Machine(cores=2))
    name = RUNS[task]
    new = next(words for words in commands_of(name) if words[1] == 'new')
    monkeypatch.setattr(sys, 'argv', new)  # the command that the config names
    done = CliRunner().invoke(cli.main, new[1:])
    assert done.exit_code == 0, done.output
    (shown,) = [block.code for block in blocks(PAGE) if f'Written: {name}.py' in block.code]
    assert squeezed(shown) in squeezed(done.output)
    written = in_config((digits / f'{name}.py').read_text())
    (config,) = [block.code for block in BLOCKS if block.language == 'python' and f'new {name}.py' in block.code]
    for part in config.split('\n# ...\n'):
        assert part.strip('\n') in written


def test_each_task_has_its_four_commands():
    for name in RUNS.values():
        assert [words[1] for words in commands_of(name)] == ['new', 'train', 'predict', 'report']


def test_the_tutorial_has_the_same_commands():
    tutorial = [
        words for block in blocks(ROOT / 'docs' / 'tutorial.md') if block.test for words in commands(block)
    ]  # tutorial.md
    assert [words[1] for words in tutorial] == ['new', 'train', 'predict']
    assert all(words in commands_of('digits') for words in tutorial)


@pytest.mark.parametrize('task', RUNS)
def test_scores_are_those_that_were_recorded(task):
    metrics = json.loads((RECORDED / task / 'metrics.json').read_text())
    last = metrics['validations'][-1][SCORES[task]]
    section = PAGE.read_text().partition(f'hrnet-plugins train {RUNS[task]}.py')[2].partition('\n## ')[0]
    assert f'{last:.3f}' in section if last < 1 else f'{last:.1f}' in section
    assert f'{metrics["training_cpu_minutes"]:.0f} minutes of one core' in section


@pytest.mark.parametrize('layout', SHOWN, ids=lambda layout: layout.__name__)
def test_the_table_of_formats_says_what_new_says(layout, tmp_path):
    layout(tmp_path / 'own', *([] if layout is own_sets.folders_split else [own_sets.sets()]))
    _, content = find(tmp_path / 'own')
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith('| ') and f'`{content.format}, ' in line]
    assert any(f'`{content.format}, {content.layout}`' in row for row in rows), f'{content.format}, {content.layout}'


def test_the_table_of_formats_has_them_all():
    rows = re.findall(r'\| `(\w+), [^|]*` \|$', PAGE.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(FORMATS)


@pytest.mark.slow
@pytest.mark.parametrize('task', RUNS)
def test_the_commands_lead_from_the_folder_to_drawings(task, tmp_path, monkeypatch):
    """On a few scenes, all commands of a run as they stand on the page."""
    monkeypatch.setattr(data, 'SCENES', {'train': 12, 'val': 4})
    digits_of = data.load_digits()
    monkeypatch.setattr(data, 'VAL_DIGITS', 20)
    few = slice(0, 100)
    for part in ('images', 'target'):
        digits_of[part] = digits_of[part][few]
    monkeypatch.setattr(data, 'load_digits', lambda: digits_of)
    data.build(tmp_path / 'data' / 'digits')
    name = RUNS[task]
    for words in commands_of(name):
        assert words[0] == 'hrnet-plugins'
        run(tmp_path, *words[1:], module='hrnet_plugins.cli', timeout=900)
    pictures = len(list((tmp_path / commands_of(name)[2][3]).rglob('*.png')))
    drawn = [path for path in (tmp_path / 'shown' / name).rglob('*.jpg') if 'masks' not in path.parts]
    assert len(drawn) == pictures > 0
    assert (tmp_path / 'work_dirs' / name / 'report.html').stat().st_size > 50_000
