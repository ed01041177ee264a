"""What a folder of a user's own data holds: pictures, their labels, and what is wrong with them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Task = Literal['detection', 'segmentation', 'classification']
Severity = Literal['error', 'warning', 'note']

TASKS: tuple[Task, ...] = ('detection', 'segmentation', 'classification')
SPLITS = ('train', 'val', 'test')
ALL = 'all'
"""The name of the one split of a folder that is not split."""


class DataError(ValueError):
    """Data that cannot be used as they are; the message says what to do, on one line or as a short list."""


@dataclass(frozen=True)
class Kind:
    """A kind of problem.

    Args:
        severity: An error stops; a warning is odd and dealt with; a note changes nothing.
        title: What it is, in the plural.
        action: What will be done about it or, for an error, what the user can do.
    """

    severity: Severity
    title: str
    action: str


_DROP = 'mend them, or leave them out with --drop-broken'
KINDS = {
    'unreadable-labels': Kind('error', 'label files that cannot be read', _DROP),
    'malformed': Kind('error', 'labels that are not what the format has there', _DROP),
    'nan-box': Kind('error', 'boxes that are NaN or infinite', _DROP),
    'unknown-class': Kind('error', 'labels of a class that has no name', _DROP),
    'unknown-value': Kind(
        'error', 'label maps with a value that is no class', 'name the classes with --classes, or say --ignore VALUE'
    ),
    'size-differs': Kind('error', 'label maps of another size than their picture', _DROP),
    'lossy-labels': Kind('error', 'label maps in a format that changes values', 'save them as PNG'),
    'empty-set': Kind('error', 'sets without a labelled picture', 'name the right folder'),
    'unlabelled-test': Kind('warning', 'test sets without labels', 'left out'),
    'negative-box': Kind('warning', 'boxes of negative size', 'left out'),
    'no-area': Kind('warning', 'boxes of no area', 'left out'),
    'outside': Kind('warning', 'boxes that reach out of their picture', 'cut at its edge'),
    'wholly-outside': Kind('warning', 'boxes outside of their picture', 'left out'),
    'no-picture': Kind('warning', 'labels without a picture', 'left out'),
    'no-labels': Kind('warning', 'pictures without labels', 'left out'),
    'unlisted': Kind('warning', 'labelled pictures that no list of a set names', 'left out'),
    'background': Kind('warning', 'pictures without a label file', 'taken for pictures without objects'),
    'unreadable-picture': Kind('warning', 'pictures that cannot be read', 'left out'),
    'unsupported-picture': Kind('warning', 'pictures in a format that the frameworks do not read', 'left out'),
    'rotated': Kind('warning', 'pictures turned by their EXIF orientation', 'read as their labels have them'),
    'rotated-mixed': Kind('warning', 'pictures whose labels are turned otherwise than the others', 'left out'),
    'stated-size': Kind('warning', 'labels that state another size than their picture has', "the picture's is used"),
    '16-bit': Kind('warning', 'pictures of 16 bits', 'read with the higher 8; darker ranges may be lost'),
    'rgba': Kind('warning', 'pictures with transparency', 'read without it'),
    'grey': Kind('note', 'grey pictures', 'read as three equal channels'),
    'duplicate-name': Kind('warning', 'pictures that share one name', 'each keeps its labels; check them'),
    'in-two-splits': Kind('warning', 'pictures in more than one set', 'kept; scores on them are too good'),
    'similar-class': Kind(
        'warning', 'classes spelled in two ways', 'kept apart; --merge-classes makes those of objects and pictures one'
    ),
    'merged-class': Kind('warning', 'classes spelled in two ways', 'made one'),
    'repeated-class': Kind('warning', 'classes that are listed twice', 'made one'),
    'unused-class': Kind('warning', 'classes without a label', 'kept'),
    'unnamed-classes': Kind('warning', 'classes without a name', 'called by their values; --classes names them'),
    'group-class': Kind('note', 'classes that only name the group of the others', 'left out'),
    'no-outline': Kind('warning', 'objects without an outline', 'their box stands in for it'),
    'shape-kind': Kind('warning', 'shapes that enclose nothing', 'left out'),
    'odd-field': Kind('warning', 'fields that the framework cannot read', 'read without them'),
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Args:
        kind: A key of ``KINDS``.
        file: The file it is in.
        place: Where in the file, such as ``line 3``; empty for the whole file.
        detail: What is there.
    """

    kind: str
    file: Path
    place: str = ''
    detail: str = ''

    def where(self, root: Path) -> str:
        """File, place and detail on one line, the file as seen from ``root``."""
        name = self.file.relative_to(root).as_posix() if self.file.is_relative_to(root) else str(self.file)
        return ', '.join(part for part in (name, self.place) if part) + (f': {self.detail}' if self.detail else '')


@dataclass(frozen=True)
class Header:
    """What the first bytes of a picture say.

    Args:
        size: Width and height in pixels as stored, before any rotation.
        mode: Pillow's mode, such as ``RGB``, ``L``, ``RGBA``.
        bits: Bits of a channel.
        orientation: The EXIF orientation, 1 for upright.
        error: Why the picture cannot be read; empty where it can.
    """

    size: tuple[int, int] = (0, 0)
    mode: str = ''
    bits: int = 8
    orientation: int = 1
    error: str = ''

    @property
    def turned(self) -> bool:
        """Whether the orientation exchanges width and height."""
        return self.orientation >= 5

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height as shown."""
        return self.size[::-1] if self.turned else self.size


@dataclass(frozen=True)
class Box:
    """One object in a picture.

    Args:
        label: Name of its class.
        xyxy: Left, top, right and bottom in pixels.
        place: Where in the label file it stands.
        outline: Its outline as COCO has it, a list of polygons or a run-length encoding; ``None`` without.
        crowd: An object that is not counted: VOC's "difficult", COCO's "crowd".
    """

    label: str
    xyxy: tuple[float, float, float, float]
    place: str
    outline: Any = None
    crowd: bool = False


@dataclass
class Picture:
    """A picture and its labels.

    Args:
        path: The file.
        labels: The file of its labels, if it has one of its own.
        name: How a list of a split calls it.
        header: What its first bytes say.
        stated: The size that the labels state, if they do.
        boxes: Objects, in detection.
        label: Its class, in classification.
        pixels: Number of pixels of each label value, in segmentation; a colour is (R, G, B).
        dropped: It is left out, because of a problem.
    """

    path: Path
    labels: Path | None = None
    name: str = ''
    header: Header = field(default_factory=Header)
    stated: tuple[int, int] | None = None
    boxes: list[Box] = field(default_factory=list)
    label: str = ''
    pixels: Counter[Any] = field(default_factory=Counter)
    dropped: bool = False


@dataclass
class Content:
    """What a folder holds.

    Args:
        format: A key of ``formats.FORMATS``.
        task: What can be learnt from it.
        root: The folder.
        splits: Pictures by split: ``train``, ``val``, ``test``, or ``ALL``.
        layout: One line on where in the folder what was found.
        classes: Names of the classes in the order of their labels.
        native: By split, how the framework's own dataset class finds it; empty where it cannot.
        problems: What is wrong.
        label_values: In segmentation, the value of each class in the label files, a number or a colour (R, G, B).
        ignored: In segmentation, values that are no class.
        turned_labels: Labels are for the pictures as stored, not as their EXIF orientation shows them.
        made_split: The split is not the user's.
        info: What the format's reader needs between finding and reading.
    """

    format: str
    task: Task
    root: Path
    splits: dict[str, list[Picture]]
    layout: str
    classes: list[str] = field(default_factory=list)
    native: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    label_values: list[Any] = field(default_factory=list)
    ignored: list[Any] = field(default_factory=list)
    turned_labels: bool = False
    made_split: bool = False
    info: dict[str, Any] = field(default_factory=dict)

    def pictures(self) -> list[Picture]:
        """Those of all splits."""
        return [picture for pictures in self.splits.values() for picture in pictures]

    def add(self, kind: str, file: Path, place: str = '', detail: str = '') -> None:
        """Note a problem."""
        self.problems.append(Problem(kind, file, place, detail))

    def of(self, *kinds: str) -> list[Problem]:
        """The problems of these kinds."""
        return [problem for problem in self.problems if problem.kind in kinds]

    @property
    def has_outlines(self) -> bool:
        """Whether objects have outlines, so that masks can be learnt."""
        boxes = [box for picture in self.pictures() for box in picture.boxes]
        return bool(boxes) and sum(box.outline is not None for box in boxes) >= 0.9 * len(boxes)

    def label_size(self, picture: Picture) -> tuple[int, int]:
        """Width and height of a picture as its labels see it."""
        return picture.header.size if self.turned_labels else picture.header.upright
