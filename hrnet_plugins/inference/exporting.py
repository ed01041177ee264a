"""Export a recipe's trained model as a file for another runtime, and check the file against PyTorch's outputs."""

from __future__ import annotations

import glob
import importlib
import importlib.util
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from hrnet_plugins.hub import load_weights
from hrnet_plugins.inference.exportable import exportable_part
from hrnet_plugins.inference.part import Part, Run
from hrnet_plugins.inference.tracing import trace
from hrnet_plugins.leftovers import remove_leftovers
from hrnet_plugins.recipes import model_of, recipe_path

TOLERANCE = 1e-4
"""Greatest allowed difference from PyTorch, as a part of the greatest output."""


@dataclass(frozen=True)
class ExportFormat:
    """A kind of file, and the runtime that checks it.

    Args:
        module: The module with two functions. ``write(program, part, path, facts) -> str`` writes the file, and files
            beside it if the format has them, and returns a description, such as the opset. ``open_with_runtime(path)
            -> Run`` opens the file for inference.
        suffix: Suffix of the file.
        runtime: Name of the runtime for reports.
        packages: Packages that the module imports, beyond the dependencies of this library.
    """

    module: str
    suffix: str
    runtime: str
    packages: tuple[str, ...] = ()


_RUNTIMES = 'hrnet_plugins.inference.runtimes'

EXPORT_FORMATS: Mapping[str, ExportFormat] = MappingProxyType(
    {
        'onnx': ExportFormat(f'{_RUNTIMES}.onnx', '.onnx', 'ONNX Runtime', ('onnx', 'onnxscript', 'onnxruntime')),
        'openvino': ExportFormat(f'{_RUNTIMES}.openvino', '.xml', 'OpenVINO', ('openvino',)),
        'pt2': ExportFormat(f'{_RUNTIMES}.inductor', '.pt2', 'AOTInductor'),
    }
)
"""The formats of ``hrnet-plugins export`` by name."""


@dataclass(frozen=True)
class Export:
    """An exported file, and how it compares with PyTorch.

    Args:
        path: The file.
        files: All files that were written: ``path``, and the files that the format keeps beside it.
        description: Facts about the file, such as the opset.
        runtime: The runtime that checked it.
        note: What the outputs are, and what of the model is left out.
        min_size: Smallest height and width in pixels that it takes.
        errors: ``max|a - b| / max|b|`` of the worst output, by input shape (B, C, H, W).
    """

    path: Path
    files: tuple[Path, ...]
    description: str
    runtime: str
    note: str
    min_size: int
    errors: Mapping[tuple[int, ...], float]

    def __str__(self) -> str:
        megabytes = sum(file.stat().st_size for file in self.files) / 1e6
        lines = [
            f'{", ".join(map(str, self.files))}: {self.description}, {megabytes:.1f} MB, '
            f'any batch, any size from {self.min_size} pixels',
            self.note,
        ]
        lines += [
            f'{self.runtime} against PyTorch at {"x".join(map(str, shape))}: {error:.1e} of the greatest output'
            for shape, error in self.errors.items()
        ]
        return '\n'.join(lines)


def export(recipe: str, checkpoint: str, *, format: str = 'onnx', out: str | Path | None = None) -> Export:  # noqa: A002
    """Export the model of a recipe with the weights of a checkpoint.

    The file takes normalised images, any number at once, of any size from a minimum. The mean, the standard deviation
    and the channel order are in its metadata.

    Args:
        recipe: Name or path of the recipe.
        checkpoint: A file in any published format, a name such as ``hrnet://cls_w18``, or an address.
        format: A key of ``EXPORT_FORMATS``.
        out: The file to write, with the format's suffix; ``None`` means the recipe's name, in the current folder.

    Raises:
        ValueError: If the format is unknown or its packages are not installed, ``out`` has another suffix, the
            checkpoint does not fit the model, the model cannot be exported, or the file's outputs are not PyTorch's.
            Then nothing is written.
    """
    if format not in EXPORT_FORMATS:
        raise ValueError(f'`format` ({format!r}) is unknown; known: {", ".join(EXPORT_FORMATS)}')
    target = EXPORT_FORMATS[format]
    absent = [name for name in target.packages if importlib.util.find_spec(name) is None]
    if absent:
        raise ValueError(f"`format` ({format!r}) needs {', '.join(absent)}: pip install 'hrnet-plugins[export]'")
    config = recipe_path(recipe)
    path = Path(out) if out is not None else Path(f'{config.stem}{target.suffix}')
    if path.suffix != target.suffix:
        raise ValueError(f'`out` ({path}) of `format` ({format!r}) must end in {target.suffix}')
    model = model_of(config)
    load_weights(model, checkpoint)
    facts = {'recipe': config.stem, **_preprocessing(config)}
    return write(exportable_part(model.eval()), path, target, facts=facts)


def write(part: Part, path: Path, target: ExportFormat, *, facts: Mapping[str, str]) -> Export:
    """Write a part as a file and check the file in its runtime; the file appears at ``path`` once it has passed.

    Args:
        part: What to write.
        path: The file.
        target: Format of the file.
        facts: Metadata to put into the file.

    Raises:
        ValueError: If the part cannot be traced or written, or the file's outputs are not PyTorch's.
    """
    library = importlib.import_module(target.module)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, f'.{glob.escape(path.name)}.*')
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f'.{path.name}.') as folder:
        draft = Path(folder) / path.name
        description = library.write(trace(part), part, draft, facts)
        errors = compare(library.open_with_runtime(draft), part)
        worst = max(errors.values())
        if not worst <= TOLERANCE:
            raise ValueError(
                f'the {target.runtime} outputs of {path.name} differ from PyTorch by {worst:.1e} of the greatest, more '
                f'than {TOLERANCE:.0e}: the file is not kept'
            )
        drafts = sorted(Path(folder).iterdir(), key=lambda file: file != draft)  # the file first
        if len(drafts) > 1:  # a file that names others must never stand beside those of another model
            path.unlink(missing_ok=True)
        files = tuple(file.replace(path.parent / file.name) for file in reversed(drafts))[::-1]
    return Export(path, files, description, target.runtime, part.note, part.min_size, errors)


@torch.no_grad()
def compare(run: Run, part: Part) -> dict[tuple[int, ...], float]:
    """``max|a - b| / max|b|`` of a runtime's worst output against PyTorch's, by input shape, on normal noise."""
    errors = {}
    generator = torch.Generator().manual_seed(0)
    for batch, height, width in part.checked:
        images = torch.randn(batch, part.channels, height, width, generator=generator)
        with part.context():
            expected = part.module(images)
        errors[tuple(images.shape)] = max(_difference(a, b) for a, b in zip(run(images), expected, strict=True))
    return errors


def _difference(a: Tensor, b: Tensor) -> float:
    error = float((a - b).abs().max() / b.abs().max()) if a.shape == b.shape else math.inf
    return error if math.isfinite(error) else math.inf


def _preprocessing(config: Path) -> dict[str, str]:
    """How a recipe normalises pixels in 0..255, as text."""
    from mmengine.config import Config  # noqa: PLC0415, slow to import

    cfg = Config.fromfile(config)
    found = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    rgb = found.get('bgr_to_rgb', found.get('to_rgb', False))
    facts = {key: str(list(found[key])) for key in ('mean', 'std') if found.get(key)}
    return {**facts, 'channels': 'RGB' if rgb else 'BGR'} if facts else {}
