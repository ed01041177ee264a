"""Published scores and costs of the recipes, from the ``metafile.yml`` of each folder of recipes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from hrnet_plugins.recipes import MIM_ROOT


@dataclass(frozen=True)
class Published:
    """What is published of a recipe; none of it was measured by this project.

    Args:
        name: The recipe.
        folder: Its folder under ``configs``, such as ``det/fcos``.
        task: What the scores are of, such as ``Object Detection``; the names of more than one with commas between them.
        dataset: What the scores were measured on, such as ``COCO val2017``.
        scores: Metric to number, such as ``{'box AP': 36.9}``, in the order of the metafile.
        metadata: Facts of the training and published costs, in standard terms.
        sources: The documents that the numbers are from.
        note: Where the published tables contradict themselves, else empty.
    """

    name: str
    folder: str
    task: str
    dataset: str
    scores: dict[str, Any]
    metadata: dict[str, Any]
    sources: tuple[str, ...]
    note: str


@cache
def published() -> dict[str, Published]:
    """What is published of each recipe, by name, in the order of the model index."""
    index = yaml.safe_load((MIM_ROOT / 'model-index.yml').read_text())
    return {row.name: row for path in index['Import'] for row in _rows(Path(path))}


def _rows(metafile: Path) -> list[Published]:
    content = yaml.safe_load((MIM_ROOT / metafile).read_text())
    return [
        Published(
            name=model['Name'],
            folder=metafile.parent.relative_to('configs').as_posix(),
            task=', '.join(dict.fromkeys(result['Task'] for result in model.get('Results', ()))),
            dataset=', '.join(dict.fromkeys(result['Dataset'] for result in model.get('Results', ()))),
            scores={k: v for result in model.get('Results', ()) for k, v in result['Metrics'].items()},
            metadata=model.get('Metadata', {}),
            sources=tuple(model.get('Sources', ())),
            note=model.get('Note', ''),
        )
        for model in content.get('Models', ())
    ]
