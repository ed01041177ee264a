"""Finding out at the start, not an epoch later, that COCO's stuff maps are not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine import fileio
from mmengine.hooks import Hook

from hrnet_plugins.registry import HOOKS

_HELP = (
    "They are COCO-Stuff's pixel labels of COCO's images (stuffthingmaps_trainval2017.zip, from the COCO-Stuff "
    'project), which train the semantic branch: unpack them into `data_prefix.seg` of the training dataset, '
    'data/coco/stuffthingmaps/train2017/ in the recipes. To train without that branch, which costs some accuracy, '
    'set `model.roi_head.semantic_roi_extractor` and `model.roi_head.semantic_head` to None, `with_seg=False` in '
    'LoadAnnotations, and remove this hook'
)


@HOOKS.register_module()
class StuffMapsHook(Hook):
    """Before training, check that the training data names semantic maps and that the first and last of them exist.

    Looks through dataset wrappers, and where the pipeline's ``LoadAnnotations`` will look (its ``backend_args``).

    Raises:
        ValueError: From ``before_train``, if maps are missing: which, what they are, and what to do.
    """

    def before_train(self, runner: Any) -> None:
        """Check every dataset of the training loader."""
        for dataset in _datasets(runner.train_dataloader.dataset):
            backend_args = _backend_args(dataset)
            for index in (0, len(dataset) - 1):
                path = dataset.get_data_info(index).get('seg_map_path')
                if path is None:
                    prefix = getattr(dataset, 'data_prefix', None)
                    raise ValueError(f'the training dataset names no semantic maps, its `data_prefix` ({prefix}) '
                                     f'having no `seg`. {_HELP}')  # fmt: skip
                if not fileio.exists(path, backend_args):
                    raise ValueError(f'the semantic map {path} is missing. {_HELP}')


def _datasets(dataset: Any) -> Iterator[Any]:
    """The datasets inside any wrappers."""
    inside = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if inside == [None]:
        yield dataset
    else:
        for part in inside:
            yield from _datasets(part)


def _backend_args(dataset: Any) -> dict[str, Any] | None:
    """Where the dataset's own pipeline reads its maps from."""
    transforms = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    loads = (transform for transform in transforms if getattr(transform, 'with_seg', False))
    return getattr(next(loads, None), 'backend_args', None)
