"""From a folder to checked content."""

from __future__ import annotations

from pathlib import Path

from hrnet_plugins.data import formats
from hrnet_plugins.data.checks import check
from hrnet_plugins.data.content import Content
from hrnet_plugins.data.pictures import header, in_threads


def load(
    root: Path,
    *,
    format: str | None = None,  # noqa: A002, the name of the option
    task: str | None = None,
    classes: str | None = None,
    ignore: list[int] | None = None,
    merge_classes: bool = False,
) -> Content:
    """Find out what a folder holds, read it and check it. Nothing in the folder is changed.

    Args:
        root: The folder.
        format: A key of ``formats.FORMATS``, where it is not to be found out.
        task: ``detection``, ``segmentation`` or ``classification``, where more than one would do.
        classes: Names with commas between them or the path of a list, for label maps and YOLO.
        ignore: Values of label maps that are no class.
        merge_classes: Make classes one that differ in case, spaces and plural alone.

    Raises:
        DataError: If no format fits, more than one does, or the folder cannot be read at all.
    """
    _, content = formats.find(root, format=format, task=task, classes=classes, ignore=ignore)
    pictures = content.pictures()
    for picture, found in zip(pictures, in_threads(lambda p: header(p.path), pictures, what='Reading pictures')):
        picture.header = found
    formats.FORMATS[content.format].read(content)
    check(content, merge_classes=merge_classes)
    return content
