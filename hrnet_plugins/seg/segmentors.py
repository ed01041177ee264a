"""Segmentors with the published test procedure, and OCR with its first segmentation computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch
from mmengine.model import initialize
from mmseg.models.segmentors import CascadeEncoderDecoder, EncoderDecoder, SegTTAModel
from mmseg.utils import add_prefix
from torch import Tensor, nn

from hrnet_plugins.registry import MODELS
from hrnet_plugins.seg.heads import resize_logits
from hrnet_plugins.seg.losses import two_classes
from hrnet_plugins.seg.multi_scale_test import MultiScaleTest


class _MultiScaleTestMixin:
    """Adds ``test_cfg=dict(mode='fused', ...)``, the published test procedure, to a segmentor of mmseg's.

    The other keys are the arguments of ``MultiScaleTest``; mmseg's modes ``'whole'`` and ``'slide'`` stay. The result's
    ``seg_logits`` are then the logarithms of the fused scores, so that their softmax is the fused probability.
    """

    test_cfg: Any
    align_corners: bool
    out_channels: int

    def _settings(self) -> MultiScaleTest | None:
        cfg = dict(self.test_cfg or {})
        if cfg.pop('mode', 'whole') != 'fused':
            return None
        try:
            return MultiScaleTest(**cfg)
        except TypeError as error:
            names = ', '.join(field.name for field in fields(MultiScaleTest))
            raise ValueError(f"`test_cfg` ({cfg}) with mode='fused' takes {names}: {error}") from None

    def inference(self, inputs: Tensor, batch_img_metas: list[dict[str, Any]]) -> Tensor:
        """Images (B, 3, H, W) -> fused scores, or logits in mmseg's modes, (B, K, H, W)."""
        settings = self._settings()
        if settings is None:
            return super().inference(inputs, batch_img_metas)  # type: ignore[misc]

        def logits(x: Tensor) -> Tensor:
            found = resize_logits(self._forward(x), x.shape[2:], align_corners=self.align_corners)  # type: ignore[attr-defined]
            return two_classes(found) if self.out_channels == 1 else found

        scores = settings.scores(logits, inputs, pad_value=self._black_pixel(inputs), align_corners=self.align_corners)
        if self.out_channels > 1:
            return scores
        return _logarithms(scores[:, 1:]) - _logarithms(scores[:, :1])

    def postprocess_result(self, seg_logits: Tensor, data_samples: Any = None) -> Any:
        """Crop the padding, resize to the original size, take the best class."""
        results = super().postprocess_result(seg_logits, data_samples)  # type: ignore[misc]
        if self._settings() is not None and self.out_channels > 1:
            for sample in results:
                sample.seg_logits.data = _logarithms(sample.seg_logits.data)
        return results

    def _black_pixel(self, inputs: Tensor) -> Tensor:
        """What a black pixel is after normalisation, (3,)."""
        preprocessor = self.data_preprocessor  # type: ignore[attr-defined]
        mean = getattr(preprocessor, 'mean', None)
        return inputs.new_zeros(inputs.shape[1]) if mean is None else (-mean / preprocessor.std).flatten()


def _logarithms(scores: Tensor) -> Tensor:
    return scores.clamp_min(torch.finfo(scores.dtype).tiny).log()


@MODELS.register_module()
class HRNetSegmentor(_MultiScaleTestMixin, EncoderDecoder):
    """mmseg's ``EncoderDecoder`` with the published test procedure, ``test_cfg=dict(mode='fused', ...)``.

    Raises:
        ValueError: If ``test_cfg`` does not fit.
    """

    def __init__(self, backbone: dict[str, Any], decode_head: dict[str, Any], **options: Any) -> None:
        super().__init__(backbone, decode_head, **options)
        self._settings()


@MODELS.register_module()
class OCRSegmentor(_MultiScaleTestMixin, CascadeEncoderDecoder):
    """HRNet + OCR: ``HRNetV2Head``, whose segmentation gives the regions, and ``OCRHead``.

    Against mmseg's ``CascadeEncoderDecoder`` the first head runs once a step, so that its batch norms see each batch
    once. ``test_cfg=dict(mode='fused', ...)`` is the published test procedure.

    Args:
        backbone: Config of the backbone.
        decode_head: Configs of the two heads.
        num_stages: As in mmseg; an OCR model has two.
        options: The other arguments of ``CascadeEncoderDecoder``.

    Raises:
        ValueError: If there are not two heads, or ``test_cfg`` does not fit.
    """

    def __init__(
        self, backbone: dict[str, Any], decode_head: Sequence[dict[str, Any]], *, num_stages: int = 2, **options: Any
    ) -> None:
        if num_stages != 2 or len(decode_head) != 2:
            raise ValueError(
                f'`decode_head` has {len(decode_head)} heads and `num_stages` is {num_stages}; OCR has two: the head '
                'whose segmentation gives the regions, and the OCRHead'
            )
        super().__init__(num_stages, backbone, decode_head, **options)
        # mmseg's code asks these of the one head that it takes every segmentor to have.
        for name in ('num_classes', 'out_channels', 'threshold'):
            setattr(self.decode_head, name, getattr(self.decode_head[-1], name))
        self._head_init = [head.get('init_cfg') for head in decode_head]
        self._settings()

    def init_weights(self) -> None:
        """Initialise as ``init_cfg`` says; the convolutions of the heads start as PyTorch has it, as published.

        The ``init_cfg`` in the config of a head comes on top of that; one of the whole segmentor counts alone.
        """
        first = not self.is_init
        super().init_weights()
        if first and not self.init_cfg:
            for module in self.decode_head.modules():
                if isinstance(module, nn.Conv2d):
                    module.reset_parameters()
            # mmengine does not look into a ModuleList; the heads' own method would start some convolutions mmcv's way.
            for head, init_cfg in zip(self.decode_head, self._head_init):
                if init_cfg:
                    initialize(head, init_cfg)

    def _decode_head_forward_train(self, inputs: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        regions, objects = self.decode_head
        first = regions(inputs)
        second = objects(inputs, first)
        return {
            **add_prefix(regions.loss_by_feat(first, data_samples), 'decode_0'),
            **add_prefix(objects.loss_by_feat(second, data_samples), 'decode_1'),
        }


@MODELS.register_module(name='AveragedTest')  # the name that configs have
class TTAModel(SegTTAModel):
    """mmseg's own test-time augmentation, ``--tta``, around a model whose ``test_cfg`` has ``mode='fused'``.

    The augmentations are those of ``tta_pipeline``; the softmax of each is averaged, the logits of overlapping
    windows before it. Where the published procedure tests whole images, so does this.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        settings = self.module._settings()
        if settings is not None:
            self.module.test_cfg = settings.as_mmseg()
