"""Signatures that write to their variables: state, which a graph of constants cannot carry."""

from __future__ import annotations

import re

_WRITES = re.compile(r"Input 0 of node (\S+) was passed \w+ from \S+ incompatible with expected resource")
STATE_HINT = "TensorFlow as loaded and XLA run it as it is. For others, export the model with its state as input and output."


def told_write(error: str) -> str:
    """Why a graph could not be frozen, where TensorFlow stumbled over a variable that it writes to; empty otherwise."""
    found = _WRITES.search(error)
    return f"node {found[1]} writes to a variable, and variables become constants there" if found else ""
