"""The README's tables of recipes, from the metafiles.

python -m tools.recipe_tables        # write them, which is `make readme`
"""

import re
from pathlib import Path

from hrnet_plugins.metafiles import published

README = Path(__file__).parents[1] / 'README.md'
COLUMNS = 6  # of scores; where a folder has more kinds than that, one column holds them by name
BLOCK = re.compile(r'<!-- recipes: (?P<folder>\S+) -->\n(?P<table>.*?)<!-- end -->', re.DOTALL)


def table(folder):
    """The recipes of a folder and their published scores, as Markdown."""
    rows = [row for row in published().values() if row.folder == folder]
    if not rows:
        raise ValueError(f'no metafile of `{folder}` in model-index.yml')
    metrics = list(dict.fromkeys(metric for row in rows for metric in row.scores))
    if len(metrics) <= COLUMNS:
        cells = [[row.scores.get(metric, '') for metric in metrics] for row in rows]
    else:
        metrics = ['published']
        cells = [[', '.join(f'{metric} {score}' for metric, score in row.scores.items())] for row in rows]
    lines = [['recipe', *metrics], ['---'] * (len(metrics) + 1)]
    lines += [[f'`{row.name}`', *scores] for row, scores in zip(rows, cells, strict=True)]
    return ''.join('|' + ''.join(f' {cell} |' if cell != '' else ' |' for cell in line) + '\n' for line in lines)


def written(text):
    """The text of a README with its tables of recipes made anew."""
    return BLOCK.sub(lambda match: f'<!-- recipes: {match["folder"]} -->\n{table(match["folder"])}<!-- end -->', text)


if __name__ == '__main__':
    README.write_text(written(README.read_text()))
