"""Finding out what a folder holds: one module a format, each with ``find`` and ``read``."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from hrnet_plugins.data.content import TASKS, Content, DataError
from hrnet_plugins.data.files import Tree, is_file
from hrnet_plugins.data.formats import coco, folders, labelme, masks, voc, yolo
from hrnet_plugins.data.formats.class_lists import Entry, parse

FORMATS: dict[str, ModuleType] = {
    'coco': coco,
    'voc': voc,
    'yolo': yolo,
    'labelme': labelme,
    'masks': masks,
    'folders': folders,
}
"""The formats, in the order in which they are looked for."""


def find(
    root: Path,
    *,
    format: str | None = None,  # noqa: A002, the name of the option
    task: str | None = None,
    classes: str | None = None,
    ignore: list[int] | None = None,
) -> tuple[Tree, Content]:
    """What a folder holds, without what is in the label files.

    Args:
        root: The folder.
        format: A key of ``FORMATS`` where it is not to be found out.
        task: One of ``TASKS``, to look for its formats alone.
        classes: Names with commas between them, or the path of a list of classes.
        ignore: Values of label maps that are no class.

    Raises:
        DataError: If no format fits, or more than one does.
    """
    for name, value, known in (('--format', format, tuple(FORMATS)), ('--task', task, TASKS)):
        if value is not None and value not in known:
            raise DataError(f'`{name}` ({value}) is unknown; known: {", ".join(known)}')
    wanted = {
        name: module
        for name, module in FORMATS.items()
        if format in (name, None) and (task in (module.TASK, None) or format is not None)
    }
    if format is not None and task is not None and task != FORMATS[format].TASK:
        raise DataError(f'`--format` ({format}) is for {FORMATS[format].TASK}, and `--task` says {task}: leave one out')
    tree = Tree.of(root)
    entries = None if classes is None else _entries(classes)
    found = {}
    for name, module in wanted.items():
        if name == 'masks':
            content = masks.find(tree, entries, ignore)
        elif name == 'yolo':
            content = yolo.find(tree, None if entries is None else [entry.name for entry in entries])
        else:
            content = module.find(tree)
        if content is not None:
            found[name] = content
    if len(found) > 1:
        found.pop('folders', None)  # folders of pictures are in every layout
    if len(found) > 1:
        raise DataError(
            f'{tree.root} fits more than one format: '
            + '; '.join(f'{name} ({content.layout})' for name, content in found.items())
            + '. Say which with --format, or --task'
        )
    if not found:
        looked = '\n'.join(f'  {module.LOOKED_FOR}' for module in wanted.values())
        raise DataError(f'{tree.root} is in no layout that is known. Looked for\n{looked}\nand found {tree.summary()}')
    content = next(iter(found.values()))
    if classes is not None and content.format not in ('masks', 'yolo'):
        raise DataError(
            f'`--classes` ({classes}) is for label maps and YOLO; {content.layout} names its classes itself'
        )
    if ignore and content.format != 'masks':
        raise DataError(f'`--ignore` ({", ".join(map(str, ignore))}) is for the values of label maps')
    return tree, content


def _entries(classes: str) -> list[Entry]:
    path = Path(classes)
    if is_file(path):
        return parse(path)
    names = [name.strip() for name in classes.split(',')]
    if not all(names) or (len(names) == 1 and path.suffix in ('.txt', '.csv')):
        raise DataError(f'`--classes` ({classes}) must be names with commas between them, or the path of a list')
    return [Entry(name) for name in names]
