"""Every published weight that has a name: where it can be had, what it loads into, what it scored, under which licence.

The rows are data, in ``catalog.json``: ``make catalog`` writes them from the metafiles of the installed frameworks,
timm's table of pretrained models, and what no such table has. Scores are published ones, none measured by this project.
Hash prefixes are those that OpenMMLab and OneDL put into their file names. Not listed: files that were only ever on
OneDrive or Baidu, which have no address to fetch.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

SCHEME = 'hrnet://'
"""What a weight's name begins with where a path or an address could stand as well."""

ROWS = Path(__file__).with_name('catalog.json')
"""The file of the rows."""


@dataclass(frozen=True)
class Source:
    """One place to fetch a weight from.

    Args:
        url: An ``https`` address, or ``hf://OWNER/REPOSITORY`` for ``model.safetensors`` on the Hugging Face hub.
        sha256: The first digits of the file's SHA-256 in hexadecimal; empty where none is known.
        format: The file's format, a key of ``FORMATS``; empty to recognise it from its keys.
        size: The file's size in bytes; 0 where it is not known.
    """

    url: str
    sha256: str = ''
    format: str = ''
    size: int = 0

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
        score: The published score, or that none is published.
        origin: Who trained and published it.
        licence: The SPDX name that its publisher gives.
        task: What the model was trained for.
        dataset: What it was trained on.
        arch: The architecture of its backbone, a name of ``ARCHS``.
        recipe: What the model is built from: a recipe of this library, or where none matches a config of the
            framework's own, such as ``mmseg::hrnet/fcn_hr18_4xb4-80k_ade20k-512x512.py``, with the drop-in. Empty for a
            backbone.
        options: Changes to that config under which the score was published, by key.
        note: What a user should know besides.
    """

    part: Literal['backbone', 'model']
    sources: tuple[Source, ...]
    score: str
    origin: str
    licence: str = 'MIT'
    task: str = ''
    dataset: str = ''
    arch: str = ''
    recipe: str = ''
    options: Mapping[str, Any] = field(default_factory=dict)
    note: str = ''

    @property
    def loads_into(self) -> str:
        """What it loads into, in words."""
        return self.recipe or f'HRNet({self.arch!r})'


def weight_of(row: Mapping[str, Any]) -> Weight:
    """A weight from its row."""
    sources = tuple(Source(**source) for source in row['sources'])
    return Weight(**{key: value for key, value in row.items() if key not in ('name', 'sources')}, sources=sources)


def row_of(name: str, weight: Weight) -> dict[str, Any]:
    """The row of a weight, without what is empty."""
    row = {'name': name, **asdict(weight)}
    row['sources'] = [{key: value for key, value in source.items() if value} for source in row['sources']]
    return {key: value for key, value in row.items() if value}


def read_rows(path: Path) -> dict[str, Weight]:
    """The weights in a file of rows, by name."""
    return {row['name']: weight_of(row) for row in json.loads(path.read_text(encoding='utf-8'))}


CATALOG: Mapping[str, Weight] = MappingProxyType(read_rows(ROWS))
"""Weights by the name that follows ``hrnet://``."""


def named(name: str, catalog: Mapping[str, Weight]) -> Weight:
    """The weight of a name.

    Args:
        name: The name, without ``hrnet://``.
        catalog: Where to look.

    Raises:
        ValueError: If the name is unknown; it tells the nearest.
    """
    if name not in catalog:
        close = difflib.get_close_matches(name, catalog, n=3)
        hint = f'did you mean {", ".join(close)}?' if close else 'see `hrnet-plugins weights`'
        raise ValueError(f'`name` ({name}) is no known weight; {hint}')
    return catalog[name]


def find(words: tuple[str, ...] = (), *, task: str = '', dataset: str = '', width: str = '') -> dict[str, Weight]:
    """The weights that fit all that is asked. Case, spaces and signs do not count: ``pascal-context`` finds all of it.

    Args:
        words: Each must be in the name, or in what the row says of task, dataset, recipe or origin.
        task: A part of the task, such as ``'semantic'``.
        dataset: A part of the dataset's name, such as ``'ade20k'``.
        width: The architecture, such as ``'w48'``; ``'w18'`` is not ``'w18_small_v1'``.
    """
    wanted = tuple(map(_letters, words))

    def fits(name: str, weight: Weight) -> bool:
        texts = [_letters(text) for text in (name, weight.task, weight.dataset, weight.recipe, weight.origin)]
        return (
            all(any(word in text for text in texts) for word in wanted)
            and _letters(task) in _letters(weight.task)
            and _letters(dataset) in _letters(weight.dataset)
            and width in ('', weight.arch)
        )

    return {name: weight for name, weight in CATALOG.items() if fits(name, weight)}


def _letters(text: str) -> str:
    return re.sub('[^a-z0-9]', '', text.lower())
