"""Segmentation datasets that check themselves before a run starts, in the layouts and encodings they are shipped in.

Each is mmseg's dataset of the same name with two additions: what is missing in its folders is an error when it is
built, and ``ENCODING`` says which values may be in its label files, to which ``LoadLabels`` holds each file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from mmseg import datasets as mmseg_datasets
from mmseg.datasets import BaseSegDataset
from PIL import Image

from hrnet_plugins.registry import DATASETS

IGNORED = 255
"""Label of pixels that have none."""
UNKNOWN = -1
"""In an encoding: a value that no label file may hold."""


def encoding(values: Mapping[int, int]) -> np.ndarray:
    """A table (256,) from the values of a label file to labels; values that are not in ``values`` are unknown.

    It is longer where a value is 256 or more.
    """
    table = np.full(max(256, *(value + 1 for value in values)), UNKNOWN, np.int16)
    for value, label in values.items():
        table[value] = label
    return table


def colour_encoding(colours: Mapping[tuple[int, int, int], int]) -> np.ndarray:
    """A table (N, 2) of colours (R, G, B) as one number, in ascending order, and their labels."""
    rows = sorted((red << 16 | green << 8 | blue, label) for (red, green, blue), label in colours.items())
    return np.array(rows, np.int32).reshape(-1, 2)


def shifted(classes: int) -> dict[int, int]:
    """Values 1 to ``classes`` are the classes, 0 is no label."""
    return {0: IGNORED, IGNORED: IGNORED, **{i + 1: i for i in range(classes)}}


def plain(classes: int) -> dict[int, int]:
    """Values 0 to ``classes - 1`` are the classes."""
    return {IGNORED: IGNORED, **{i: i for i in range(classes)}}


class CheckedDataset(BaseSegDataset):
    """Checks of files and labels for mmseg's datasets.

    Args:
        args: Those of mmseg's dataset.
        options: Those of mmseg's dataset.

    Raises:
        ValueError: If a folder or list is missing, there is no image, or an image or its labels are missing; the
            message names the first of them. Also if the classes have no names, or there is no folder of labels to
            train with.
    """

    ENCODING: ClassVar[Mapping[int, int] | None] = None
    """Label by value of the label files; ``None`` takes the classes in order, from 1 with ``reduce_zero_label``."""
    _given_values: Sequence[int | Sequence[int]] | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.encoding = encoding(self._labels())
        if self.label_map is not None:  # the user's choice of classes
            for i, label in enumerate(self.encoding.tolist()):
                self.encoding[i] = self.label_map.get(label, label)

    def _labels(self) -> Mapping[int, int]:
        """Label by value of the label files."""
        if self.reduce_zero_label and (self.ENCODING is not None or self._given_values is not None):
            raise ValueError(
                f'`reduce_zero_label` ({self.reduce_zero_label}) shifts labels that {type(self).__name__} has already, '
                'by the values of its classes: leave one of the two out'
            )
        if self.ENCODING is not None:
            return self.ENCODING
        classes = len(type(self).METAINFO.get('classes', self.metainfo['classes']))
        return shifted(classes) if self.reduce_zero_label else plain(classes)

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What is known of the classes, all of them or those that the user chose."""
        found = super()._load_metainfo(metainfo)
        if 'classes' not in found:
            raise ValueError(
                f'`metainfo` ({metainfo}) has no classes, and {cls.__name__} does not know them: name the values of '
                "the label files from 0, as in metainfo=dict(classes=('ground', 'sky'))"
            )
        if 'label_values' in cls.METAINFO and 'label_values' not in (metainfo or {}):
            values = dict(zip(cls.METAINFO['classes'], cls.METAINFO['label_values'], strict=True))
            # A class that does not exist is an error of mmseg's, which comes next.
            found['label_values'] = tuple(values[name] for name in found['classes'] if name in values)
        return found

    def load_data_list(self) -> list[dict[str, Any]]:
        """The images and their label files, all of which exist."""
        if not self.test_mode and self.data_prefix.get('seg_map_path') is None:
            raise ValueError(
                f'`data_prefix` ({dict(self.data_prefix)}) has no seg_map_path: training needs the folder of the '
                'labels; with test_mode=True there may be none'
            )
        if self.backend_args is not None:  # the files are not local ones
            return super().load_data_list()
        folders = {key: Path(folder) for key, folder in self.data_prefix.items() if folder is not None}
        for key, folder in folders.items():
            if not folder.is_dir():
                raise ValueError(f'`data_prefix.{key}` ({folder}) is no folder: {self._layout()}')
        if self.ann_file and not Path(self.ann_file).is_file():
            raise ValueError(f'`ann_file` ({self.ann_file}) is no file: {self._layout()}')
        found = super().load_data_list()
        if not found:
            raise ValueError(
                f'`data_prefix.img_path` ({folders["img_path"]}) holds no *{self.img_suffix}: {self._layout()}'
            )
        for key, what in (('img_path', 'images'), ('seg_map_path', 'label files')):
            missing = _missing([item[key] for item in found if key in item])
            if missing:
                raise ValueError(
                    f'{len(missing)} of {len(found)} {what} are missing, the first: {missing[0]}. {self._layout()}'
                )
        if self.ENCODING is None and self._given_values is None:
            _refuse_black_and_white([item['seg_map_path'] for item in found if 'seg_map_path' in item])
        return found

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """What ``load_data_list`` found of one image, and the encoding of its labels."""
        return {**super().get_data_info(idx), 'encoding': self.encoding}

    def _layout(self) -> str:
        folders = ', '.join(f'{key}={folder}' for key, folder in self.data_prefix.items())
        listed = f', ann_file={self.ann_file}' if self.ann_file else ''
        return (
            f'{type(self).__name__} reads *{self.img_suffix} and *{self.seg_map_suffix} below {folders}{listed}; the '
            'layout is in docs/segmentation.md'
        )


def _missing(paths: Sequence[str]) -> list[str]:
    """Those that are no files; each folder is listed once, which is quicker than asking for each file."""
    folders = {Path(path).parent for path in paths}
    present = {folder / name for folder in folders if folder.is_dir() for name in os.listdir(folder)}
    return [path for path in paths if Path(path) not in present]


LOOKED_AT = 20
"""Label files that are looked at, spread over all of them."""


def _refuse_black_and_white(paths: Sequence[str]) -> None:
    """Masks drawn as 0 and 255 would train without their foreground, as 255 means no label.

    Raises:
        ValueError: If no file that is looked at has another value.
    """
    seen: set[int] = set()
    for path in paths[:: max(1, len(paths) // LOOKED_AT)][:LOOKED_AT]:
        with Image.open(path) as image:
            if image.mode not in ('L', 'P', '1', 'I', 'I;16'):  # colours: refused where the file is loaded
                return
            seen |= set(np.unique(np.asarray(image)).tolist())
        if not seen <= {0, IGNORED}:
            return
    if IGNORED in seen:
        raise ValueError(
            f'the label files hold only {", ".join(map(str, sorted(seen)))}, as {paths[0]}, and {IGNORED} means no '
            f'label: for masks in black and white say label_values=(0, {IGNORED}) in the dataset; where the {IGNORED} '
            'does mean no label, say label_values=(0, 1)'
        )


class ListedDataset(BaseSegDataset):
    """mmseg's dataset, whose ``ann_file`` may also list pairs.

    A line of such a list is an image's path, a tab, and the path of its label file, both below ``data_root``: names,
    suffixes and folders of the two may then differ as they like.
    """

    def load_data_list(self) -> list[dict[str, Any]]:
        """The images and their label files."""
        if not self.ann_file or self.backend_args is not None:
            return super().load_data_list()
        lines = [line for line in Path(self.ann_file).read_text(encoding='utf-8').splitlines() if line]
        if not lines or any(line.count('\t') != 1 for line in lines):
            return super().load_data_list()
        root = self.data_root or ''
        pairs = [[os.path.join(root, path) for path in line.split('\t')] for line in lines]
        shared = dict(label_map=self.label_map, reduce_zero_label=self.reduce_zero_label)
        return [dict(shared, img_path=image, seg_map_path=labels, seg_fields=[]) for image, labels in pairs]


@DATASETS.register_module()
class FolderDataset(CheckedDataset, ListedDataset):
    """Any two folders of images and label files.

    ``metainfo=dict(classes=...)`` names the values from 0, or with ``reduce_zero_label=True`` those from 1, as 0 is no
    label there.

    Args:
        args: Those of mmseg's dataset.
        label_values: Where the values do not count from 0: that of each class, a number or a colour (R, G, B).
        ignored: Values that are no label. When not given: 255, unless it is a class's, and no colour.
        options: Those of mmseg's dataset; ``ann_file`` may list pairs, see ``ListedDataset``.

    Raises:
        ValueError: If there is not one value for each class, a value is no byte or is a class's twice, only some of the
            values are colours, or ``reduce_zero_label`` shifts values that are given.
    """

    def __init__(
        self,
        *args: Any,
        label_values: Sequence[int | Sequence[int]] | None = None,
        ignored: Sequence[int | Sequence[int]] | None = None,
        **options: Any,
    ) -> None:
        self._given_values = label_values
        super().__init__(*args, **options)
        classes = self.metainfo['classes']
        first = int(bool(self.reduce_zero_label))
        values = range(first, first + len(classes)) if label_values is None else label_values
        if len(values) != len(classes):
            raise ValueError(f'`label_values` has {len(values)} values for {len(classes)} classes: give one for each')
        coloured = any(isinstance(value, Sequence) for value in values)
        rest = ignored
        if rest is None:
            rest = () if coloured or IGNORED in values else (0, IGNORED) if first else (IGNORED,)
        labels = [*enumerate(values), *((IGNORED, value) for value in rest)]
        colours = {(v[0], v[1], v[2]): label for label, v in labels if isinstance(v, Sequence)}
        numbers = {v: label for label, v in labels if not isinstance(v, Sequence)}
        if colours and numbers:
            raise ValueError('`label_values` and `ignored` must be all numbers or all colours (R, G, B)')
        if len(colours or numbers) != len(labels) or not set(numbers) <= set(range(1 << 16)):
            raise ValueError(
                f'`label_values` ({tuple(values)}) and `ignored` ({tuple(rest)}) must be different values, numbers '
                'from 0 to 65535 or colours'
            )
        if colours:
            self.encoding = colour_encoding(colours)
        else:
            self.encoding = encoding(numbers)
            self._metainfo['label_values'] = tuple(values)


_CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Label id of each class that is scored. Ids run to 33, and 255 is taken for no label as well."""


@DATASETS.register_module()
class CityscapesDataset(CheckedDataset, mmseg_datasets.CityscapesDataset):
    """Cityscapes as downloaded: ``*_gtFine_labelIds.png``, of which 19 classes are scored, need no conversion."""

    METAINFO: ClassVar = {**mmseg_datasets.CityscapesDataset.METAINFO, 'label_values': _CITYSCAPES_IDS}
    ENCODING: ClassVar = {
        **dict.fromkeys((*range(34), IGNORED), IGNORED),
        **{value: i for i, value in enumerate(_CITYSCAPES_IDS)},
    }

    def __init__(self, *, seg_map_suffix: str = '_gtFine_labelIds.png', **options: Any) -> None:
        super().__init__(seg_map_suffix=seg_map_suffix, **options)


@DATASETS.register_module()
class LIPDataset(CheckedDataset, mmseg_datasets.LIPDataset):
    """Look into Person: 19 human parts and the background."""


@DATASETS.register_module()
class PascalContext60Dataset(CheckedDataset, mmseg_datasets.PascalContextDataset):
    """PASCAL-Context with the background as a class."""


@DATASETS.register_module()
class PascalContext59Dataset(CheckedDataset, mmseg_datasets.PascalContextDataset59):
    """PASCAL-Context without the background, which has value 0 in the label files."""


@DATASETS.register_module()
class COCOStuff10kDataset(CheckedDataset, mmseg_datasets.COCOStuffDataset):
    """COCO-Stuff 10k, converted by mmseg's ``coco_stuff10k.py``: values 1 to 171, and 0 for no label."""

    def __init__(self, *, reduce_zero_label: bool = True, **options: Any) -> None:
        super().__init__(reduce_zero_label=reduce_zero_label, **options)


@DATASETS.register_module()
class ADE20KDataset(CheckedDataset, mmseg_datasets.ADE20KDataset):
    """ADE20K scene parsing: values 1 to 150, and 0 for no label."""
