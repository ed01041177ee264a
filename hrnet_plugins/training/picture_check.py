"""Looking at a sample of pictures: whether they are there, whole, and of the size that is stated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from hrnet_plugins.data.files import is_file
from hrnet_plugins.data.pictures import header
from hrnet_plugins.training.findings import Finding, error, some

SAMPLE = 64
"""Pictures that are opened."""


def check_pictures(sample: Sequence[tuple[Path, tuple[float, float] | None]], stated_by: str) -> Iterator[Finding]:
    """Check pictures.

    Args:
        sample: Each picture with the width and height that its annotations state, or ``None``.
        stated_by: Where they state it, for the message.
    """
    missing, unreadable, differing = [], [], []
    for path, stated in sample:
        if not is_file(path):
            missing.append(path)
            continue
        picture = header(path)
        if picture.error:
            unreadable.append(f'{path} ({picture.error.partition(":")[0]})')
        elif stated is not None and stated not in (picture.size, picture.upright):
            differing.append('{} is {}x{}, its entry says {:g}x{:g}'.format(path, *picture.size, *stated))
    for paths, what in ((missing, 'are not there'), (unreadable, 'cannot be read')):
        if paths:
            yield error(f'{len(paths)} of {len(sample)} pictures of {stated_by} {what}: {some(paths)}')
    if differing:
        yield error(
            f'{len(differing)} of {len(sample)} pictures have another size than {stated_by} says: {some(differing)}'
        )
