"""What a conversion did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Report:
    """What a conversion did, key by key. ``str()`` is a summary to print.

    Args:
        source: Format converted from.
        target: Format converted to.
        renamed: Old and new key of each entry whose name changed.
        folded: Convolutions whose bias went into the mean of the batch norm after them.
        reshaped: Entries whose shape changed without a change of meaning.
        reordered: Entries whose classes changed their order or lost or gained the background.
        made_absolute: Batch norm weights replaced by their absolute value + 1e-5.
        dropped: Old keys left out on purpose.
        added: New keys that the target needs and the source does not have: zero biases.
        notes: Decisions that a reader should know about.
    """

    source: str
    target: str
    renamed: tuple[tuple[str, str], ...] = ()
    folded: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()
    reordered: tuple[str, ...] = ()
    made_absolute: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f'{self.source} -> {self.target}']
        if self.renamed:
            lines.append(f'renamed {len(self.renamed)}, to {_groups(self.renamed)}')
        for title, keys in (
            ('folded into the batch norm', self.folded),
            ('reshaped', self.reshaped),
            ('reordered', self.reordered),
            ('made absolute', self.made_absolute),
            ('dropped', self.dropped),
            ('added as zeros', self.added),
        ):
            if keys:
                lines.append(f'{title} {len(keys)}: {_some(keys)}')
        lines += [f'note: {note}' for note in self.notes]
        return '\n'.join(lines)


_SHOWN = 6
"""How many keys a line of the summary lists."""


def _some(keys: Sequence[str]) -> str:
    more = [f'and {len(keys) - _SHOWN} more'] if len(keys) > _SHOWN else []
    return ', '.join([*keys[:_SHOWN], *more])


def _groups(pairs: Sequence[tuple[str, str]]) -> str:
    """The first parts of the new keys, and how many keys begin with each."""
    counts = Counter(new.split('.')[0] for _, new in pairs)
    return ', '.join(f'{name}.* ({count})' for name, count in counts.items())
