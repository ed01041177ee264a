"""HRNet architectures as values: four stages of parallel branches, and the table of published variants.

Source: Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition" (TPAMI 2020,
arXiv:1908.07919), section 3; the small variants are those of the HRNet-Image-Classification repository.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

BlockName = Literal['BASIC', 'BOTTLENECK']

EXPANSION: Mapping[str, int] = MappingProxyType({'BASIC': 1, 'BOTTLENECK': 4})
"""Output channels of a residual block, as a multiple of its base channels (He et al., arXiv:1512.03385)."""

EXTRA_STAGES = ('stage1', 'stage2', 'stage3', 'stage4')
EXTRA_KEYS = ('num_modules', 'num_branches', 'block', 'num_blocks', 'num_channels')
"""What upstream's ``extra`` dictionary has for each stage."""


@dataclass(frozen=True)
class Stage:
    """One stage: ``modules`` exchange units in a row, each over the same parallel branches.

    Args:
        modules: Number of modules; each ends with an exchange between all branches.
        blocks: Residual blocks of each branch in a module, finest branch first.
        channels: Base channels of each branch, finest first. A branch carries ``channels * EXPANSION[block]``.
        block: Residual block type.

    Raises:
        ValueError: If a count is not a positive integer, the lengths differ, or the block is unknown.
    """

    modules: int
    blocks: tuple[int, ...]
    channels: tuple[int, ...]
    block: BlockName = 'BASIC'

    def __post_init__(self) -> None:
        object.__setattr__(self, 'blocks', _positive_ints('blocks', self.blocks))
        object.__setattr__(self, 'channels', _positive_ints('channels', self.channels))
        _positive_ints('modules', (self.modules,))
        if len(self.blocks) != len(self.channels):
            raise ValueError(
                f'`blocks` ({self.blocks}) and `channels` ({self.channels}) of a stage name one value a branch: '
                'give both the same length'
            )
        if self.block not in EXPANSION:
            raise ValueError(f'`block` ({self.block!r}) is unknown; known: {", ".join(EXPANSION)}')

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels each branch carries, finest first."""
        return tuple(c * EXPANSION[self.block] for c in self.channels)


@dataclass(frozen=True)
class HRNetArch:
    """The shape of an HRNet: stage 1 (one branch at stride 4) to stage 4.

    Raises:
        ValueError: If there are not four stages, stage 1 has more than one branch, or a stage has fewer
            branches than the one before it.
    """

    stages: tuple[Stage, Stage, Stage, Stage]

    def __post_init__(self) -> None:
        if len(self.stages) != 4:
            raise ValueError(f'`stages` has {len(self.stages)} entries; an HRNet has 4 stages')
        branches = [len(stage.channels) for stage in self.stages]
        if branches[0] != 1 or branches != sorted(branches):
            raise ValueError(
                f'`stages` have {branches} branches; stage 1 has one branch and no later stage may have fewer '
                'than the stage before it'
            )

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the output maps, finest (stride 4) first."""
        return self.stages[-1].out_channels

    @classmethod
    def from_width(cls, width: int) -> HRNetArch:
        """The published family: ``width`` channels at stride 4, doubled at each coarser branch (section 3.1)."""
        stages = [Stage(1, (4,), (64,), 'BOTTLENECK')]
        for branches, modules in ((2, 1), (3, 4), (4, 3)):
            stages.append(Stage(modules, (4,) * branches, tuple(width << i for i in range(branches))))
        return cls(tuple(stages))  # type: ignore[arg-type]  # four, checked there

    @classmethod
    def from_extra(cls, extra: Mapping[str, Any]) -> HRNetArch:
        """Read the ``extra`` dictionary of mmdet, mmseg and mmpretrain configs.

        Args:
            extra: ``stage1`` to ``stage4``, each with ``num_modules, num_branches, block, num_blocks,
                num_channels``.

        Raises:
            ValueError: Naming the stage and key that is missing, unknown or contradictory.
        """
        if not isinstance(extra, Mapping) or set(extra) != set(EXTRA_STAGES):
            found = sorted(extra) if isinstance(extra, Mapping) else extra
            raise ValueError(f'`extra` ({found}) must be a dict with exactly the keys {", ".join(EXTRA_STAGES)}')
        return cls(tuple(_stage_from_extra(name, extra[name]) for name in EXTRA_STAGES))  # type: ignore[arg-type]  # four, checked there

    @classmethod
    def of(cls, arch: str | HRNetArch | Mapping[str, Any]) -> HRNetArch:
        """Turn a name of ``ARCHS``, an ``extra`` dictionary or an architecture into an architecture.

        Raises:
            ValueError: If the name is unknown or the dictionary malformed.
        """
        if isinstance(arch, HRNetArch):
            return arch
        if isinstance(arch, Mapping):
            return cls.from_extra(arch)
        if isinstance(arch, str) and arch in ARCHS:
            return ARCHS[arch]
        raise ValueError(
            f"`arch` ({arch!r}) is unknown; known: {', '.join(ARCHS)}; or pass an HRNetArch or upstream's `extra` dict"
        )


def _positive_ints(name: str, values: Sequence[int]) -> tuple[int, ...]:
    valid = isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 0
    if not valid or any(not isinstance(v, int) or isinstance(v, bool) or v < 1 for v in values):
        raise ValueError(f'`{name}` ({values!r}) of a stage must be positive integers')
    return tuple(values)


def _stage_from_extra(name: str, cfg: Any) -> Stage:
    if not isinstance(cfg, Mapping) or set(cfg) != set(EXTRA_KEYS):
        found = sorted(cfg) if isinstance(cfg, Mapping) else cfg
        raise ValueError(f"`extra['{name}']` ({found}) must be a dict with exactly the keys {', '.join(EXTRA_KEYS)}")
    for key in ('num_blocks', 'num_channels'):
        if not isinstance(cfg[key], Sequence) or len(cfg[key]) != cfg['num_branches']:
            raise ValueError(
                f"`extra['{name}']['{key}']` ({cfg[key]}) must have `num_branches` ({cfg['num_branches']}) entries"
            )
    try:
        return Stage(cfg['num_modules'], tuple(cfg['num_blocks']), tuple(cfg['num_channels']), cfg['block'])
    except ValueError as error:
        raise ValueError(f"`extra['{name}']`: {error}") from None


ARCHS: Mapping[str, HRNetArch] = MappingProxyType(
    {
        'w18_small_v1': HRNetArch(
            (
                Stage(1, (1,), (32,), 'BOTTLENECK'),
                Stage(1, (2, 2), (16, 32)),
                Stage(1, (2, 2, 2), (16, 32, 64)),
                Stage(1, (2, 2, 2, 2), (16, 32, 64, 128)),
            )
        ),
        'w18_small_v2': HRNetArch(
            (
                Stage(1, (2,), (64,), 'BOTTLENECK'),
                Stage(1, (2, 2), (18, 36)),
                Stage(3, (2, 2, 2), (18, 36, 72)),
                Stage(2, (2, 2, 2, 2), (18, 36, 72, 144)),
            )
        ),
        **{f'w{width}': HRNetArch.from_width(width) for width in (18, 30, 32, 40, 44, 48, 64)},
    }
)
"""Published architectures by name."""
