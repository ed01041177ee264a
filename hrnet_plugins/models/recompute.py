"""Computing in backward again what need not be kept for it, at three grains. Statistics of norms see each batch once.

Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost" (arXiv:1604.06174); for norms and activations alone
Rota Bulò et al., "In-Place Activated BatchNorm" (arXiv:1712.02616), section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Literal

import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode

from hrnet_plugins.models.autocast import autocast, autocast_dtype
from hrnet_plugins.models.conv_norm import has_fixed_statistics, is_traced, runs_alone
from hrnet_plugins.models.scaled_conv import convolution_backward

WithCP = bool | Literal['norm', 'block', 'module']
"""What is computed in backward again: nothing (False), norms and what follows them up to the next convolution
(``'norm'``), each residual block (True or ``'block'``), each module of parallel branches (``'module'``)."""
Grain = Literal['', 'norm', 'block', 'module']
Maps = Sequence[Tensor]

_STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')


def grain_of(with_cp: WithCP) -> Grain:
    """The argument of that name in one form.

    Raises:
        ValueError: If it is something else.
    """
    if isinstance(with_cp, bool):
        return 'block' if with_cp else ''
    if with_cp not in ('norm', 'block', 'module'):
        raise ValueError(f"`with_cp` ({with_cp!r}) must be False, 'norm', 'block' (or True) or 'module'")
    return with_cp


def run(forward: Callable[..., Any], parts: Sequence[nn.Module], grain: Grain, *inputs: Any) -> Any:
    """``forward(*inputs)``, of which backward computes again what the grain says.

    Nothing is where no gradients are recorded, and while a tracer or an exporter follows. ``torch.compile`` has a
    checkpoint of its own, with statistics that see each batch once, too.

    Args:
        forward: What to run; its result is a map or a list of maps.
        parts: The modules that ``forward`` runs.
        grain: ``''`` for nothing, ``'norm'`` for all but convolutions, anything else for all.
        inputs: Maps, or lists of maps.
    """
    if not grain or not torch.is_grad_enabled() or is_traced(_flat(inputs)[0]):
        return forward(*inputs)
    if torch.compiler.is_compiling():
        return _compiled(forward, grain, inputs) if torch.compiler.is_dynamo_compiling() else forward(*inputs)
    modules = nn.ModuleList(parts)
    if not any(tensor.requires_grad for tensor in (*_flat(inputs), *modules.parameters())):
        return forward(*inputs)
    if grain == 'norm':
        return _keep_convolutions(forward, modules, inputs)
    return torch.utils.checkpoint.checkpoint(
        forward, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), untouched_statistics(modules))
    )


def _compiled(forward: Callable[..., Any], grain: Grain, inputs: tuple[Any, ...]) -> Any:
    options: dict[str, Any] = dict(context_fn=_keeping_convolutions) if grain == 'norm' else {}
    return torch.utils.checkpoint.checkpoint(forward, *inputs, use_reentrant=False, **options)


def _keeping_convolutions() -> Any:
    return torch.utils.checkpoint.create_selective_checkpoint_contexts([torch.ops.aten.convolution.default])


def _flat(inputs: Sequence[Any]) -> list[Tensor]:
    return [x for value in inputs for x in (value if isinstance(value, (list, tuple)) else [value])]


@contextmanager
def untouched_statistics(module: nn.Module) -> Iterator[None]:
    """Inside it the norms that learn statistics compute the same, and do not count what they see."""
    learning = [
        norm
        for norm in module.modules()
        if isinstance(norm, _NormBase) and norm.training and norm.running_mean is not None
    ]
    held = [{name: norm._buffers[name] for name in _STATISTICS} for norm in learning]
    for norm, buffers in zip(learning, held):  # checkpoint wants backward to save as many tensors as forward did
        norm._buffers.update({name: None if value is None else value.clone() for name, value in buffers.items()})
    try:
        yield
    finally:
        for norm, buffers in zip(learning, held):
            norm._buffers.update(buffers)


def _keep_convolutions(forward: Callable[..., Any], parts: nn.ModuleList, inputs: tuple[Any, ...]) -> Any:
    modules = list(parts.modules())
    if not all(map(runs_alone, modules)) or any(map(has_fixed_statistics, modules)):
        return forward(*inputs)  # with fixed statistics there is nothing to win, see ``conv_norm``
    region = _Region(forward, parts, inputs)
    learning = [parameter for parameter in parts.parameters() if parameter.requires_grad]
    outs = _KeepConvolutions.apply(region, *_flat(inputs), *learning)
    return list(outs) if region.gives_list else outs[0]


class _Region:
    """A part of a network, and how to call it with the maps that it takes in a row."""

    def __init__(self, forward: Callable[..., Any], parts: nn.ModuleList, inputs: tuple[Any, ...]) -> None:
        self.forward = forward
        self.parts = parts
        self.lengths = [None if isinstance(value, Tensor) else len(value) for value in inputs]
        self.count = len(_flat(inputs))
        self.device = _flat(inputs)[0].device.type
        self.dtype = autocast_dtype(self.device)
        self.drops = any(isinstance(module, _DropoutNd) and module.training for module in parts.modules())
        self.gives_list = False

    def run(self, flat: Maps) -> tuple[Tensor, ...]:
        rest = iter(flat)
        inputs = [next(rest) if length is None else [next(rest) for _ in range(length)] for length in self.lengths]
        # Casts of weights that were made without gradients must not be found by those who need gradients.
        with autocast(self.device, self.dtype, cache_enabled=False):
            outs = self.forward(*inputs)
        self.gives_list = not isinstance(outs, Tensor)
        return tuple(outs) if self.gives_list else (outs,)


@contextmanager
def _random_state(cpu: Tensor, devices: list[int], others: list[Tensor], device: str) -> Iterator[None]:
    with torch.random.fork_rng(devices, device_type=device if devices else 'cuda'):
        torch.set_rng_state(cpu)
        torch.utils.checkpoint.set_device_states(devices, others, device_type=device)
        yield


class _KeepConvolutions(torch.autograd.Function):
    """A region that keeps its inputs and what its convolutions gave, and computes all else in backward again."""

    @staticmethod
    def forward(ctx: Any, region: _Region, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.region, ctx.random = region, nullcontext()
        if region.drops:
            states = torch.get_rng_state(), *torch.utils.checkpoint.get_device_states(*tensors)
            ctx.random = _random_state(*states, region.device)
        with _Record() as record:
            outs = region.run(tensors[: region.count])
        ctx.kept = len(record.outputs)
        ctx.save_for_backward(*tensors, *record.checked())
        return outs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        region = ctx.region
        saved = ctx.saved_tensors
        tensors, kept = saved[: len(saved) - ctx.kept], saved[len(saved) - ctx.kept :]
        wanted = ctx.needs_input_grad[1:]
        given = [x.detach().requires_grad_(needs) for x, needs in zip(tensors[: region.count], wanted)]
        leaves = [x for x, needs in zip([*given, *tensors[region.count :]], wanted) if needs]
        with (
            ctx.random,
            torch.enable_grad(),
            untouched_statistics(region.parts),
            _Replay(kept) as replay,
        ):
            outs = region.run(given)
        replay.check_all_used()
        pairs = [(out, grad) for out, grad in zip(outs, grads) if out.requires_grad]
        found = torch.autograd.grad([o for o, _ in pairs], leaves, [g for _, g in pairs], allow_unused=True)
        rest = iter(found)
        return None, *(next(rest) if needs else None for needs in wanted)


class _Record(TorchFunctionMode):
    """Collects what each 2-D convolution gives."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: list[tuple[Tensor, int]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is torch.conv2d:
            self.outputs.append((out, out._version))
        return out

    def checked(self) -> list[Tensor]:
        """What was collected, none of it written over since."""
        assert all(out._version == version for out, version in self.outputs), 'a convolution was written over'
        return [out for out, _ in self.outputs]


class _Replay(TorchFunctionMode):
    """Gives each 2-D convolution the output it had, and a backward."""

    def __init__(self, kept: Maps) -> None:
        super().__init__()
        self.kept = iter(kept)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.conv2d:
            return func(*args, **(kwargs or {}))
        return _known_conv(next(self.kept), *args, **(kwargs or {}))

    def check_all_used(self) -> None:
        """A region that runs otherwise than before has no right gradients."""
        assert next(self.kept, None) is None, 'fewer convolutions ran than before'


def _known_conv(
    known: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = (1, 1),
    padding: Any = (0, 0),
    dilation: Any = (1, 1),
    groups: int = 1,
) -> Tensor:
    if isinstance(padding, str):
        padding = [d * (k - 1) // 2 if padding == 'same' else 0 for k, d in zip(weight.shape[2:], _pair(dilation))]
    geometry = _pair(stride), _pair(padding), _pair(dilation), groups
    dtype = known.dtype  # what autocast made of them
    return _KnownConv.apply([known], x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype), geometry)


def _pair(value: int | Sequence[int]) -> Sequence[int]:
    return (value, value) if isinstance(value, int) else value


class _KnownConv(torch.autograd.Function):
    """A convolution whose output is known."""

    @staticmethod
    def forward(
        ctx: Any, known: list[Tensor], x: Tensor, weight: Tensor, bias: Tensor | None, geometry: tuple[Any, ...]
    ) -> Tensor:
        ctx.save_for_backward(x if ctx.needs_input_grad[2] else None, weight)
        ctx.shape, ctx.geometry = x.shape, geometry
        return known[0].detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        x = grad.new_empty(()).expand(ctx.shape) if x is None else x
        return None, *convolution_backward(grad, x, weight, ctx.geometry, ctx.needs_input_grad[1:4]), None
