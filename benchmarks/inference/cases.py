"""What is measured: a network, an input size and a batch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

from hrnet_plugins import HRNetArch

Kind = Literal['pyramid', 'faster-rcnn', 'ocr', 'tool']
Size = tuple[int, int]

TITLES: dict[Kind, str] = {'pyramid': 'backbone + neck', 'faster-rcnn': 'Faster R-CNN', 'ocr': 'HRNet + OCR'}


@dataclass(frozen=True)
class Case:
    """One network at one size.

    Args:
        kind: ``'pyramid'`` (backbone + neck), ``'faster-rcnn'`` (whole, boxes included), ``'ocr'`` (whole), or
            ``'tool'``, Faster R-CNN in mmdet's benchmark tool.
        arch: A name of ``ARCHS``, or an architecture.
        size: Height and width in pixels, as the network receives them.
        batch: Images at once.
    """

    kind: Kind
    arch: str | HRNetArch
    size: Size
    batch: int = 1

    @property
    def name(self) -> str:
        """A key for results."""
        arch = self.arch if isinstance(self.arch, str) else 'custom'
        return f'{self.kind} {arch} {self.size[0]}x{self.size[1]} batch {self.batch}'


DETECTION: Size = (800, 1344)
"""What a detector's 800x1333 is padded to."""
FIRST = Case('pyramid', 'w18', (512, 512))
"""The case that the bars on the CPU are about."""
TOOL = Case('tool', 'w18', (800, 800))
"""What mmdet's tool measures; not among ``CASES``, as no system here runs it."""

CASES: tuple[Case, ...] = (
    FIRST,
    *(Case('pyramid', arch, (512, 512)) for arch in ('w32', 'w48')),
    Case('faster-rcnn', 'w18', DETECTION),
    *(Case('pyramid', arch, DETECTION) for arch in ('w18', 'w32', 'w48')),
    Case('ocr', 'w48', (1024, 2048)),
    *(Case('pyramid', arch, size, 8) for size, arch in product(((512, 512), DETECTION), ('w18', 'w32', 'w48'))),
)
"""All of them; those that the bars are about first, so that a run within a budget has them."""
