"""The one word with which a person says that a file may run code: ``--trust``, or ``HRNET_PLUGINS_TRUST=1``."""

from __future__ import annotations

import os

TRUST_VARIABLE = 'HRNET_PLUGINS_TRUST'
"""Environment variable; ``1`` means that every file that is read in this process and those it starts is trusted."""


def is_trusted() -> bool:
    """Whether the person who runs this trusts the files that are read. The default is no."""
    return os.environ.get(TRUST_VARIABLE, '') == '1'
