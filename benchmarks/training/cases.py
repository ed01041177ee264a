"""What is trained for the measurements: a network, an input size, a batch, and whether norms learn statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hrnet_plugins import HRNetArch

Kind = Literal['pyramid', 'hrnetv2', 'ocr', 'classifier']
Size = tuple[int, int]

TITLES: dict[Kind, str] = {
    'pyramid': 'backbone + neck',
    'hrnetv2': 'HRNetV2, with losses',
    'ocr': 'HRNet + OCR, with losses',
    'classifier': 'classifier, with loss',
}


@dataclass(frozen=True)
class Case:
    """One network at one size.

    Args:
        kind: ``'pyramid'`` (backbone and HRFPN, a sum of squares for loss), ``'hrnetv2'``, ``'ocr'``, ``'classifier'``.
        arch: A name of ``ARCHS``, or an architecture.
        size: Height and width in pixels.
        batch: Images at once.
        fixed: Whether the backbone's norms have fixed statistics, ``norm_eval=True``.
    """

    kind: Kind
    arch: str | HRNetArch
    size: Size
    batch: int = 2
    fixed: bool = False

    @property
    def name(self) -> str:
        """A key for results."""
        arch = self.arch if isinstance(self.arch, str) else 'custom'
        statistics = 'fixed' if self.fixed else 'learning'
        return f'{self.kind} {arch} {self.size[0]}x{self.size[1]} batch {self.batch} {statistics}'


SIDE: Size = (512, 512)
SMALL: Size = (256, 256)
"""For machines on which the others take too long."""
DETECTION: Size = (800, 1344)
WIDTHS = ('w18', 'w32', 'w48')

CASES: tuple[Case, ...] = (
    Case('pyramid', 'w18', SIDE, fixed=True),
    Case('pyramid', 'w18', SIDE),
    Case('pyramid', 'w18', SMALL, fixed=True),
    Case('pyramid', 'w18', SMALL),
    Case('hrnetv2', 'w48', (512, 1024)),
    Case('hrnetv2', 'w48', (256, 512)),
    Case('ocr', 'w48', (512, 1024)),
    Case('ocr', 'w48', (256, 512)),
    Case('classifier', 'w18', (224, 224), 16),
    *(Case('pyramid', arch, SIDE, fixed=fixed) for arch in WIDTHS[1:] for fixed in (True, False)),
    *(Case('pyramid', arch, DETECTION, fixed=fixed) for arch in WIDTHS for fixed in (True, False)),
)
"""All of them, those that tell most first: a run within a budget has them."""
