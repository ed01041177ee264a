"""One line that shows that long work goes on: renewed in place in a terminal, written now and then into a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.control import Control, ControlType
from rich.text import Text

REFRESH = 0.2
"""Seconds between two looks of the line in a terminal, at least."""
FIRST, LONGEST = 5.0, 320.0
"""Seconds of silence before the first plain line, and before any: each plain line doubles them."""

_ERASE = Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))


class LiveLine:
    """A line of text about work in progress, on standard output.

    In a terminal the line is drawn over its last look. Elsewhere (a pipe, a file, a terminal that cannot) a plain line
    is printed after 5 seconds without any output, the next after 10, then 20, and so on up to 5 minutes.

    No thread draws it: a process that is forked while one prints, as workers of a data loader are, could inherit a
    lock that nobody opens again.

    Args:
        console: Where it goes.
        clock: Seconds that only grow.
    """

    def __init__(self, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console()
        self._clock = clock
        self._live = self._console.file.isatty() and not self._console.is_dumb_terminal
        self._drawn = False
        self._wait = 0.0 if self._live else FIRST
        self._last = clock()

    def show(self, text: Callable[[], str]) -> None:
        """Show the text, if it is time for it; only then is it asked for."""
        now = self._clock()
        if now - self._last < self._wait:
            return
        self._last = now
        if self._live:
            self._wait = REFRESH
            # One cell stays free: in the last one some terminals wrap.
            line = Text(text(), no_wrap=True, end='')
            line.truncate(max(self._console.width - 1, 1), overflow='ellipsis')
            self._console.control(_ERASE)
            self._console.print(line, end='', highlight=False)
            self._drawn = True
        else:
            self._wait = min(self._wait * 2, LONGEST)
            self._console.print(Text(text()), soft_wrap=True, highlight=False)
        self._console.file.flush()

    def make_way(self) -> None:
        """Say that somebody else prints now: the line goes away, and silence is counted from here."""
        self.clear()
        if not self._live:
            self._last = self._clock()

    def clear(self) -> None:
        """Take the line away, as at the end of the work."""
        if self._drawn:
            self._console.control(_ERASE)
            self._console.file.flush()
            self._drawn = False
            self._wait = 0.0
