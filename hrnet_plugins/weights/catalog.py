"""Every published weight that has a name: where it can be had, what it scored, under which licence.

Scores are published ones, none measured by this project. Hash prefixes are those that OpenMMLab and OneDL put into
their file names. Not listed: files that were only ever on OneDrive or Baidu, which have no address to fetch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

SCHEME = 'hrnet://'
"""What a weight's name begins with where a path or an address could stand as well."""

_CLS = 'https://github.com/HRNet/HRNet-Image-Classification'
_SEG = 'https://github.com/HRNet/HRNet-Semantic-Segmentation'
_MMDET = 'https://github.com/open-mmlab/mmdetection'
_SEG_FILES = 'https://github.com/hsfzxjy/models.storage/releases/download/HRNet-OCR'
_ONEDL = 'https://mmassets.onedl.ai'
_OPENMMLAB = 'https://download.openmmlab.com'


@dataclass(frozen=True)
class Source:
    """One place to fetch a weight from.

    Args:
        url: An ``https`` address, or ``hf://OWNER/REPOSITORY`` for ``model.safetensors`` on the Hugging Face hub.
        sha256: The first digits of the file's SHA-256 in hexadecimal; empty where none is known.
        format: The file's format, a key of ``FORMATS``; empty to recognise it from its keys.
    """

    url: str
    sha256: str = ''
    format: str = ''

    @property
    def file(self) -> str:
        """The file's name at the source."""
        return self.url.rsplit('/', 1)[1] + ('/model.safetensors' if self.url.startswith('hf://') else '')


@dataclass(frozen=True)
class Weight:
    """A named weight.

    Args:
        part: ``backbone`` loads into an ``HRNet`` alone, ``model`` into the whole model of its framework.
        sources: Where to fetch it, in the order to try.
        score: The published score.
        origin: Who trained and published it.
        licence: The SPDX name that its publisher gives.
    """

    part: Literal['backbone', 'model']
    sources: tuple[Source, ...]
    score: str
    origin: str
    licence: str = 'MIT'


def _mirrored(path: str) -> tuple[Source, ...]:
    """The same file at OneDL's mirror and on OpenMMLab's host; its name ends in the hash."""
    digits = path.rsplit('-', 1)[1].removesuffix('.pth')
    return tuple(Source(f'{host}/{path}', sha256=digits) for host in (_ONEDL, _OPENMMLAB))


def _mmpretrain(name: str) -> tuple[Source, ...]:
    return _mirrored(f'mmclassification/v0/hrnet/hrnet-{name}.pth')


def _imagenet() -> dict[str, Weight]:
    """Classifiers as ``cls_NAME`` and, under the plain name, their backbones."""
    release = f'{_CLS}/releases/download/PretrainedWeights/HRNet_'
    ssld = '3rdparty_8xb32-ssld_in1k_20220120'
    ms = '3rdparty_8xb32_in1k_20220120'
    rows: dict[str, tuple[float, tuple[Source, ...]]] = {
        'w18_small_v1': (72.3, (Source('hf://timm/hrnet_w18_small.ms_in1k'),)),
        'w18_small_v2': (75.1, (Source('hf://timm/hrnet_w18_small_v2.ms_in1k'),)),
        'w18': (76.8, (Source('hf://timm/hrnet_w18.ms_in1k'), *_mmpretrain(f'w18_{ms}-0c10b180'))),
        'w30': (78.2, (Source('hf://timm/hrnet_w30.ms_in1k'), *_mmpretrain(f'w30_{ms}-8aa3832f'))),
        'w32': (78.5, (Source('hf://timm/hrnet_w32.ms_in1k'), *_mmpretrain(f'w32_{ms}-c394f1ab'))),
        'w40': (78.9, (Source('hf://timm/hrnet_w40.ms_in1k'), *_mmpretrain(f'w40_{ms}-9a2dbfc5'))),
        'w44': (78.9, (Source('hf://timm/hrnet_w44.ms_in1k'), *_mmpretrain(f'w44_{ms}-35d07f73'))),
        'w48': (79.3, (Source('hf://timm/hrnet_w48.ms_in1k'), *_mmpretrain(f'w48_{ms}-e555ef50'))),
        'w64': (79.5, (Source('hf://timm/hrnet_w64.ms_in1k'), *_mmpretrain(f'w64_{ms}-19126642'))),
        'w18_cutmix': (77.9, (Source(f'{release}W18_C_cosinelr_cutmix_300epoch.pth.tar'),)),
        'w48_cutmix': (81.1, (Source(f'{release}W48_C_cosinelr_cutmix_300epoch.pth.tar'),)),
        'w18_ssld': (
            81.2,
            (
                Source(f'{release}W18_C_ssld_pretrained.pth'),
                Source('hf://timm/hrnet_w18_ssld.paddle_in1k'),
                *_mmpretrain(f'w18_{ssld}-455f69ea'),
            ),
        ),
        'w48_ssld': (
            83.6,
            (
                Source(f'{release}W48_C_ssld_pretrained.pth'),
                Source('hf://timm/hrnet_w48_ssld.paddle_in1k'),
                *_mmpretrain(f'w48_{ssld}-d0459c38'),
            ),
        ),
    }
    classifiers = {
        f'cls_{name}': Weight('model', sources, f'ImageNet top-1 {top1}', _CLS)
        for name, (top1, sources) in rows.items()
    }
    backbones = {name: replace(classifiers[f'cls_{name}'], part='backbone') for name in rows}
    for name, digits in (('w18', '00eb2006'), ('w32', 'dc9eeb4f'), ('w40', 'ed0b031c'), ('w48', 'd2186c55')):
        third_party = _mirrored(f'pretrain/third_party/hrnetv2_{name}-{digits}.pth')
        backbones[name] = replace(backbones[name], sources=backbones[name].sources + third_party)
    return backbones | classifiers


def _segmentation() -> dict[str, Weight]:
    rows = {
        'seg_w48_cityscapes': ('hrnet_cs_8090_torch11', 'Cityscapes val mIoU 80.9'),
        'ocr_w48_cityscapes': ('hrnet_ocr_cs_8162_torch11', 'Cityscapes val mIoU 81.6'),
        'ocr_w48_cityscapes_trainval': ('hrnet_ocr_cs_trainval_8227_torch11', 'Cityscapes test mIoU 82.3'),
        'seg_w48_lip': ('hrnet_lip_5583_torch04', 'LIP mIoU 55.83'),
        'ocr_w48_lip': ('hrnet_ocr_lip_5648_torch04', 'LIP mIoU 56.48'),
        'seg_w48_pascal59': ('hrnet_pascal_ctx_5410_torch11', 'PASCAL-Context (59 classes) mIoU 54.1'),
        'ocr_w48_pascal59': ('hrnet_ocr_pascal_ctx_5618_torch11', 'PASCAL-Context (59 classes) mIoU 56.2'),
        'seg_w48_cocostuff': ('hrnet_cocostuff_3617_torch04', 'COCO-Stuff mIoU 36.2'),
        'ocr_w48_cocostuff': ('hrnet_ocr_cocostuff_3965_torch04', 'COCO-Stuff mIoU 39.7'),
        'seg_w48_ade20k': ('hrnet_ade20k_4312_torch04', 'ADE20K mIoU 43.1'),
        'ocr_w48_ade20k': ('hrnet_ocr_ade20k_4451_torch04', 'ADE20K mIoU 44.5'),
    }
    return {
        name: Weight(
            'model',
            # Files of torch 0.4 were trained with InPlaceABN, whose scale is |gamma| + 1e-5.
            (Source(f'{_SEG_FILES}/{file}.pth', format='official-seg-abn' if file.endswith('torch04') else ''),),
            score,
            _SEG,
        )
        for name, (file, score) in rows.items()
    }


def _detection() -> dict[str, Weight]:
    rows = {
        ('w18', '1x'): ('20200130-56651a6d', 36.9),
        ('w18', '2x'): ('20200702_085731-a4ec0611', 38.9),
        ('w32', '1x'): ('20200130-6e286425', 40.2),
        ('w32', '2x'): ('20200529_015927-976a9c15', 41.4),
        ('w40', '1x'): ('20200210-95c1f5ce', 41.2),
        ('w40', '2x'): ('20200512_161033-0f236ef4', 42.1),
    }
    weights = {}
    for (width, schedule), (suffix, score) in rows.items():
        file = f'faster_rcnn_hrnetv2p_{width}_{schedule}_coco'
        url = f'{_OPENMMLAB}/mmdetection/v2.0/hrnet/{file}/{file}_{suffix}.pth'
        source = Source(url, sha256=suffix.rsplit('-', 1)[1])
        name = f'faster-rcnn_hrnetv2p-{width}_{schedule}_coco'
        weights[name] = Weight('model', (source,), f'COCO val2017 box AP {score}', _MMDET, 'Apache-2.0')
    return weights


CATALOG: Mapping[str, Weight] = MappingProxyType(_imagenet() | _segmentation() | _detection())
"""Weights by the name that follows ``hrnet://``."""
