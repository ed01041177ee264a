"""A line with a bar that shows how far work has come."""

from __future__ import annotations

import time

from hrnet_plugins.live_line import LiveLine

_BAR = 24


class Bar:
    """A line with a bar: how many of some things are done, how fast, and how long the rest will take.

    Args:
        total: How many there are; fewer than come, if nobody knows it better.
        what: What they are, such as ``pictures``.
        line: Where it is shown; standard output by default.
    """

    def __init__(self, total: int, what: str = 'pictures', *, line: LiveLine | None = None) -> None:
        self.total, self.what, self.done = total, what, 0
        self.line = line or LiveLine()
        self.started = time.monotonic()

    def advance(self) -> None:
        """One more is done."""
        self.done += 1
        self.total = max(self.total, self.done)
        self.line.show(self.text)

    def text(self) -> str:
        """The line."""
        seconds = max(time.monotonic() - self.started, 1e-9)
        filled = _BAR * self.done // self.total
        left = seconds / self.done * (self.total - self.done)
        return (
            f'[{"#" * filled}{"." * (_BAR - filled)}] {self.done}/{self.total} {self.what}  '
            f'{self.done / seconds:.3g} a second  {int(left) // 60}:{int(left) % 60:02d} left'
        )
