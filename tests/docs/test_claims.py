"""What the pages say in words of recorded numbers is what was recorded."""

import json

import pytest

from hrnet_plugins.metafiles import published
from tests.helpers.paths import ROOT

CPU = json.loads((ROOT / 'benchmarks/inference/results-cpu.json').read_text())['cases']
DIGITS = ROOT / 'benchmarks' / 'digits'


def page(name):
    return ' '.join((ROOT / name).read_text().split())


def ms(case, system):
    return CPU[case]['systems'][system]['ms']


def test_inference_is_as_fast_as_is_said():
    text = page('docs/inference.md')
    case = 'pyramid w18 512x512 batch 1'
    upstream = ms(case, "upstream's HRNet fp32")
    assert "about twice as fast as mmdet's HRNet in float32 and over three times in bfloat16" in text
    assert upstream / ms(case, 'ours, accelerated fp32') == pytest.approx(2, abs=0.2)
    assert upstream / ms(case, 'ours, accelerated bf16') > 3
    assert 'ready in a second' in text
    assert CPU[case]['systems']['ours, accelerated fp32']['setup_s'] < 1.05
    assert 'than `torch.compile`, which was measured for W18' in text
    assert ms(case, 'ours, accelerated fp32') < min(
        ms(case, name) for name in CPU[case]['systems'] if 'torch.compile' in name
    )


@pytest.mark.parametrize('width', ['w18', 'w32', 'w48'])
def test_the_order_of_the_systems_is_what_is_said(width):
    assert 'In float32 it is faster at every width than timm, ONNX Runtime and OpenVINO' in page('docs/inference.md')
    case = f'pyramid {width} 512x512 batch 1'
    others = ('timm fp32', 'timm, channels_last fp32', 'ours, onnxruntime fp32', 'ours, openvino fp32')
    assert ms(case, 'ours, accelerated fp32') < min(ms(case, name) for name in others)
    assert 'In bfloat16 OpenVINO is a little faster' in page('docs/inference.md')
    assert 'OpenVINO was a few per cent faster' in page('docs/comparison.md')
    assert 1 < ms(case, 'ours, accelerated bf16') / ms(case, 'ours, openvino bf16') < 1.06
    assert CPU[case]['systems']['ours, openvino bf16']['setup_s'] == pytest.approx(20, abs=5)


def test_digits_reached_what_is_said():
    metrics = json.loads((DIGITS / 'hrnet-w18-small-v1_5e' / 'metrics.json').read_text())
    text = page('docs/classification.md')
    assert '[reaches 98 %](../benchmarks/digits/README.md) from scratch in under three minutes' in text
    assert metrics['accuracy/top1'] >= 98
    assert metrics['training_minutes'] < 3


def test_the_demo_took_what_is_said():
    demo = json.loads((ROOT / 'projects' / 'digits' / 'recorded' / 'detection' / 'metrics.json').read_text())
    assert '| `make demo` | 9 minutes of one core |' in page('docs/install.md')
    assert 8.5 <= demo['training_cpu_minutes'] < 9.5


def test_installing_took_what_is_said():
    recorded = json.loads((ROOT / 'benchmarks/install/results.json').read_text())
    assert f'| all | {recorded["seconds"]["all"]:.0f} |' in (ROOT / 'docs/install.md').read_text()


def test_points_between_widths():
    assert 'about 3 points of box AP' in page('docs/troubleshooting.md')
    for schedule in ('1x', '2x'):
        narrow, wide = (
            published()[f'faster-rcnn_hrnetv2p-{w}_{schedule}_coco'].scores['box AP'] for w in ('w18', 'w32')
        )
        assert 2.4 < wide - narrow < 3.6
