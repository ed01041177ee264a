"""What the module ``mmcv._ext`` is made of: the operators that are here, and an error for every other one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

try:
    import torchvision
except ImportError as error:
    raise ImportError(
        "hrnet-plugins' operators for mmcv are torchvision's, and torchvision cannot be imported: install the release "
        'that belongs to the installed torch'
    ) from error

from hrnet_plugins.mmcv_ops.deform_attn import ms_deform_attn_backward, ms_deform_attn_forward
from hrnet_plugins.mmcv_ops.deform_conv import (
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    deform_conv_forward,
    modulated_deform_conv_backward,
    modulated_deform_conv_forward,
)
from hrnet_plugins.mmcv_ops.focal_loss import (
    sigmoid_focal_loss_backward,
    sigmoid_focal_loss_forward,
    softmax_focal_loss_backward,
    softmax_focal_loss_forward,
)
from hrnet_plugins.mmcv_ops.masked_conv import masked_col2im_forward, masked_im2col_forward
from hrnet_plugins.mmcv_ops.missing import missing
from hrnet_plugins.mmcv_ops.nms import bbox_overlaps, nms, nms_match
from hrnet_plugins.mmcv_ops.roi import roi_align_backward, roi_align_forward, roi_pool_backward, roi_pool_forward
from hrnet_plugins.mmcv_ops.soft_nms import softnms


def get_compiler_version() -> str:
    """What mmengine's log shows as ``MMCV Compiler``."""
    return f'none, operators of torchvision {torchvision.__version__} by hrnet-plugins'


def get_compiling_cuda_version() -> str:
    """The CUDA release that torchvision was compiled with, which the log shows as ``MMCV CUDA Compiler``."""
    version = torch.ops.torchvision._cuda_version()  # as CUDA writes it, 13000 for 13.0; -1 without
    return f'{version // 1000}.{version // 10 % 100}' if version > 0 else 'not available'


OPERATORS: dict[str, Callable[..., Any]] = {
    operator.__name__: operator
    for operator in (
        get_compiler_version,
        get_compiling_cuda_version,
        bbox_overlaps,
        deform_conv_backward_input,
        deform_conv_backward_parameters,
        deform_conv_forward,
        masked_col2im_forward,
        masked_im2col_forward,
        modulated_deform_conv_backward,
        modulated_deform_conv_forward,
        ms_deform_attn_backward,
        ms_deform_attn_forward,
        nms,
        nms_match,
        roi_align_backward,
        roi_align_forward,
        roi_pool_backward,
        roi_pool_forward,
        sigmoid_focal_loss_backward,
        sigmoid_focal_loss_forward,
        softmax_focal_loss_backward,
        softmax_focal_loss_forward,
        softnms,
    )
}
"""The operators that are here, by name, and what mmcv asks about its compilation."""


def __getattr__(name: str) -> Callable[..., Any]:
    """Any other operator: mmcv asks for all names when it is imported, and calls few."""
    if name.startswith('_'):
        raise AttributeError(name)
    return missing(name)
