"""Speed against parameters, one line a system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use('agg')
import matplotlib.pyplot as plt

from benchmarks.inference.cases import CASES


def draw(results: dict[str, Any], path: Path) -> bool:
    """Draw backbone + neck at 512x512, one image, as far as measured; whether there was anything to draw."""
    devices = [device for device in ('cpu', 'cuda') if device in results]
    lines: dict[str, dict[str, list[tuple[float, float]]]] = {device: {} for device in devices}
    for device in devices:
        for case in CASES:
            if (case.kind, case.size, case.batch) == ('pyramid', (512, 512), 1):
                found = results[device]['cases'].get(case.name, {})
                for key, row in found.get('systems', {}).items():
                    lines[device].setdefault(key, []).append((found['mparams'], 1e3 / row['ms']))
    devices = [device for device in devices if lines[device]]
    if not devices:
        return False
    figure, axes = plt.subplots(1, len(devices), figsize=(11 * len(devices), 5), squeeze=False)
    for axis, device in zip(axes[0], devices):
        axis.set_prop_cycle(color=plt.get_cmap('tab20').colors)  # more systems than the default colours
        for key, points in lines[device].items():
            axis.plot(*zip(*sorted(points)), 'o-', label=key)
        axis.set(
            title=f'backbone + neck, 512x512, one image: {results[device]["machine"]}',
            xlabel='million parameters',
            ylabel='images a second',
            ylim=(0, None),
        )
        axis.legend(fontsize='small', loc='upper left', bbox_to_anchor=(1.01, 1))  # beside the lines
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return True
