"""The generated parts of the model zoo's page: recipes, backbones, and weights that no recipe of ours tests."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from hrnet_plugins.archs import ARCHS
from hrnet_plugins.metafiles import Published, published
from hrnet_plugins.weights.catalog import CATALOG
from tools.recipe_tables import markdown, scores_text, weights_of, weights_text, width_of

COSTS = Path(__file__).parents[1] / 'docs' / 'model-costs.json'
"""Parameters and arithmetic of each recipe's model, written by ``tools.model_costs``."""
RECIPES = ('recipe', 'task', 'width', 'dataset', 'published score', 'parameters, M', 'GMACs', 'weights', 'licence')
WEIGHTS = ('weight', 'task', 'width', 'dataset', 'published score', 'loads into', 'licence')


def recipes_table() -> str:
    """Every recipe."""
    costs = json.loads(COSTS.read_text(encoding='utf-8'))
    return markdown(RECIPES, (_recipe(row, costs[row.name]) for row in published().values()))


def _recipe(row: Published, costs: dict[str, object]) -> list[object]:
    licences = sorted({CATALOG[name].licence for name in weights_of(row.name)})
    return [
        f'[{row.name}](../configs/{row.folder}/README.md)',
        row.task or _task_of(row.folder),
        width_of(row.name),
        row.dataset or row.metadata['Training Data'],
        scores_text(row),
        costs['parameters_m'],
        f'{costs["gmacs"]} at {costs["size"]}',
        weights_text(row.name),
        ', '.join(licences),
    ]


def _task_of(folder: str) -> str:
    """What most recipes of a folder are for."""
    return Counter(row.task for row in published().values() if row.folder == folder and row.task).most_common(1)[0][0]


def backbones_table() -> str:
    """Every published architecture, with its ImageNet weights."""
    costs = json.loads(COSTS.read_text(encoding='utf-8'))
    names = {width_of(name): name for name in published() if name.endswith('_100e_in1k')}
    rows = []
    for arch, found in ARCHS.items():
        own = [name for name, weight in CATALOG.items() if weight.part == 'backbone' and weight.arch == arch]
        cost = costs[names[arch]]
        channels = ', '.join(map(str, found.channels))
        rows.append([f'`{arch}`', channels, cost['parameters_m'], cost['gmacs'], ', '.join(f'`{n}`' for n in own)])
    return markdown(['arch', 'channels of the maps', 'classifier, M', 'GMACs at 224x224', 'ImageNet weights'], rows)


def weights_table() -> str:
    """Weights of whole models for configs of the frameworks' own, with the drop-in."""
    return markdown(WEIGHTS, _weights())


def _weights() -> Iterator[list[object]]:
    for name, weight in CATALOG.items():
        if weight.part == 'model' and weight.recipe not in published():
            config = weight.recipe.replace('::', ': ').removesuffix('.py')
            yield [f'`{name}`', weight.task, weight.arch, weight.dataset, weight.score, config, weight.licence]
