"""Write a recipe's trained model as a file for another runtime, and hold that file to PyTorch's outputs."""

from __future__ import annotations

import importlib
import importlib.util
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from hrnet_plugins.inference.parts import Part, exportable_part
from hrnet_plugins.inference.recorded import Run, capture
from hrnet_plugins.recipes import model_of, recipe_path
from hrnet_plugins.weights import check_against, convert, load_state_dict
from hrnet_plugins.weights.catalog import SCHEME
from hrnet_plugins.weights.hub import load

TOLERANCE = 1e-4
"""Greatest difference from PyTorch, as a part of the greatest output."""
INPUT = 'images'


@dataclass(frozen=True)
class Format:
    """A kind of file, and the runtime that checks it.

    Args:
        module: Where it is implemented: ``write(program, part, path, facts) -> str`` writes the file, and others beside
            it if the format has them, and describes it, such as by its opset; ``open_with_runtime(path) -> Run`` opens
            it for inference.
        suffix: Of its files.
        runtime: Name of the runtime for reports.
        packages: What it imports beyond this package's own dependencies.
    """

    module: str
    suffix: str
    runtime: str
    packages: tuple[str, ...] = ()


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        'onnx': Format('hrnet_plugins.inference.onnx', '.onnx', 'ONNX Runtime', ('onnx', 'onnxscript', 'onnxruntime')),
        'openvino': Format('hrnet_plugins.inference.openvino', '.xml', 'OpenVINO', ('openvino',)),
        'pt2': Format('hrnet_plugins.inference.inductor', '.pt2', 'AOTInductor'),
    }
)
"""The formats of ``hrnet-plugins export`` by name."""


@dataclass(frozen=True)
class Export:
    """An exported file and how it compared.

    Args:
        path: The file.
        files: All that were written: the file, and what the format keeps beside it.
        description: The format's own facts, such as the opset.
        runtime: What ran it.
        note: What the outputs are and what of the model is left out.
        min_size: Smallest height and width in pixels that it takes.
        errors: ``max|a - b| / max|b|`` against PyTorch by input shape (B, C, H, W), the worst output of each.
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
    """Export the model of a recipe with the weights of a checkpoint, for any batch and any size from a smallest.

    The file takes normalised images: the mean, deviation and channel order are in it as metadata.

    Args:
        recipe: Name or path.
        checkpoint: A file in any format that ``convert`` reads, or a name such as ``hrnet://cls_w18``.
        format: A key of ``FORMATS``.
        out: The file to write, with the format's suffix; the recipe's name, here, if not given.

    Raises:
        ValueError: If the format is unknown or its packages are not installed, ``out`` has another suffix, the
            checkpoint does not fit the model, the model cannot be exported, or the file's outputs are not PyTorch's.
            Then nothing is written.
    """
    if format not in FORMATS:
        raise ValueError(f'`format` ({format!r}) is unknown; known: {", ".join(FORMATS)}')
    kind = FORMATS[format]
    absent = [name for name in kind.packages if importlib.util.find_spec(name) is None]
    if absent:
        raise ValueError(f"`format` ({format!r}) needs {', '.join(absent)}: pip install 'hrnet-plugins[export]'")
    config = recipe_path(recipe)
    path = Path(out) if out is not None else Path(f'{config.stem}{kind.suffix}')
    if path.suffix != kind.suffix:
        raise ValueError(f'`out` ({path}) of `format` ({format!r}) must end in {kind.suffix}')
    model = model_of(config)
    _load(model, checkpoint)
    facts = {'recipe': config.stem, **_preprocessing(config)}
    return write(exportable_part(model.eval()), path, kind, facts=facts)


def write(part: Part, path: Path, kind: Format, *, facts: Mapping[str, str]) -> Export:
    """Write a part of a model for another runtime and check it; the file appears once it has passed.

    Args:
        part: What to write.
        path: The file.
        kind: Its format.
        facts: Metadata to put into the file.

    Raises:
        ValueError: If the part cannot be recorded or written, or the file's outputs are not PyTorch's.
    """
    library = importlib.import_module(kind.module)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        draft = Path(folder) / path.name
        description = library.write(capture(part), part, draft, facts)
        errors = compare(library.open_with_runtime(draft), part)
        worst = max(errors.values())
        if not worst <= TOLERANCE:
            raise ValueError(
                f'the {kind.runtime} outputs of {path.name} differ from PyTorch by {worst:.1e} of the greatest, more '
                f'than {TOLERANCE:.0e}: the file is not kept'
            )
        drafts = sorted(Path(folder).iterdir(), key=lambda file: file != draft)  # the file first
        files = tuple(file.replace(path.parent / file.name) for file in drafts)
    return Export(path, files, description, kind.runtime, part.note, part.min_size, errors)


@torch.no_grad()
def compare(run: Run, part: Part) -> dict[tuple[int, ...], float]:
    """The worst ``max|a - b| / max|b|`` of a runtime against PyTorch, by input shape, on normal noise."""
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


def _load(model: nn.Module, checkpoint: str) -> None:
    """Load weights strictly, in OpenMMLab's names or any published ones."""
    state = load(checkpoint) if checkpoint.startswith(SCHEME) else load_state_dict(checkpoint)
    if not state.keys() >= model.state_dict().keys():
        state, _ = convert(state)
    check_against(state, model)
    model.load_state_dict(state, strict=True)


def _preprocessing(config: Path) -> dict[str, str]:
    """How a recipe normalises pixels in 0..255, as text."""
    from mmengine.config import Config  # noqa: PLC0415, slow to import

    cfg = Config.fromfile(config)
    found = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    rgb = found.get('bgr_to_rgb', found.get('to_rgb', False))
    facts = {key: str(list(found[key])) for key in ('mean', 'std') if found.get(key)}
    return {**facts, 'channels': 'RGB' if rgb else 'BGR'} if facts else {}
