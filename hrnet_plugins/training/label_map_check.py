"""Looking for what is wrong with label maps of segmentation before training reads them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from hrnet_plugins.data.content import DataError
from hrnet_plugins.data.files import is_file, names_of
from hrnet_plugins.data.formats.masks import IGNORED, map_values
from hrnet_plugins.data.pictures import header
from hrnet_plugins.training.findings import Finding, error, some, warning
from hrnet_plugins.training.picture_check import SAMPLE, check_pictures


def check_label_maps(
    pictures: Path,
    maps: Path,
    *,
    picture_suffix: str,
    map_suffix: str,
    listed: Path | None,
    classes: Sequence[str] | None,
    reduce_zero_label: bool,
) -> list[Finding]:
    """Check a sample of pictures and their label maps, as mmseg's datasets read them.

    Args:
        pictures: Folder of the pictures.
        maps: Folder of the label maps.
        picture_suffix: What the pictures' names end in.
        map_suffix: What the maps' names end in instead.
        listed: A file of names without suffix, a line each; ``None`` means all pictures.
        classes: The dataset's classes (``metainfo``); ``None`` leaves the values out.
        reduce_zero_label: 0 is no label, and the classes count from 1.

    Returns:
        What is wrong.
    """
    if listed is not None and not listed.is_file():
        return [error(f'{listed}: there is no such file; see `ann_file` and `data_root` of the dataset')]
    for folder, key in ((pictures, 'img_path'), (maps, 'seg_map_path')):
        if not folder.is_dir():
            return [error(f'{folder}: there is no such folder; see `data_prefix.{key}` of the dataset')]
    if listed is not None:
        try:
            names = names_of(listed)
        except DataError as problem:
            return [error(str(problem))]
    else:
        found = (path for path in sorted(pictures.rglob(f'*{picture_suffix}')) if path.is_file())
        names = [path.relative_to(pictures).as_posix().removesuffix(picture_suffix) for path in found]
    if not names:
        where = listed or f'{pictures} with the suffix {picture_suffix!r}'
        return [error(f'there is no picture in {where}; see `img_suffix` of the dataset')]
    sample = random.Random(0).sample(names, min(SAMPLE, len(names)))  # noqa: S311, any will do
    problems = list(check_pictures([(pictures / f'{name}{picture_suffix}', None) for name in sample], str(pictures)))
    if any(problem.severity == 'error' for problem in problems):
        return problems
    pairs = [(pictures / f'{name}{picture_suffix}', maps / f'{name}{map_suffix}') for name in sample]
    return problems + _check_pairs(pairs, maps, classes, reduce_zero_label)


def _check_pairs(
    pairs: Sequence[tuple[Path, Path]], maps: Path, classes: Sequence[str] | None, reduce_zero_label: bool
) -> list[Finding]:
    missing, unreadable, coloured, differing, strange = [], [], [], [], []
    used: set[int] = set()
    first = int(reduce_zero_label)
    known = {*range(first, first + len(classes or ())), IGNORED, *((0,) if reduce_zero_label else ())}
    for picture, path in pairs:
        if not is_file(path):
            missing.append(path)
            continue
        found = map_values(path)
        if isinstance(found, str):
            unreadable.append(f'{path} ({found.partition(":")[0]})')
            continue
        (size, there), own = found, header(picture).size
        if any(isinstance(value, tuple) for value in there):
            coloured.append(path)
            continue
        if size != own:
            differing.append('{} is {}x{}, its picture {}x{}'.format(path, *size, *own))
        used |= there.keys()
        if classes is not None and there.keys() - known:
            strange.append(f'{path} has {some(sorted(there.keys() - known))}')
    texts = (
        (missing, 'are not there; see `seg_map_suffix` of the dataset'),
        (unreadable, 'cannot be read'),
        (coloured, 'hold colours, not one number a pixel'),
        (differing, 'have another size than their picture'),
        (strange, f'have values that are no class: the classes are {first} to {first + len(classes or ()) - 1}'),
    )
    problems = [error(f'{len(of)} of {len(pairs)} label maps {what}: {some(of)}') for of, what in texts if of]
    if not problems and classes is not None and not used & set(range(first, first + len(classes))):
        problems.append(
            error(f'{len(pairs)} label maps of {maps} have no label but {some(sorted(used))}, which are none')
        )
    elif not problems and classes is not None and len(classes) > 1 and used <= {0, IGNORED} and IGNORED in used:
        problems.append(
            warning(
                f'{len(pairs)} label maps of {maps} have the values 0 and 255 only, and 255 is no label: where 255 is '
                'a class, save it as 1'
            )
        )
    return problems
