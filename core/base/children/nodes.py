"""The node that a child is at, told in its output: a runtime that crashes over a node leaves no other word."""

from __future__ import annotations

import json

AT_NODE = "engineroom: at node "


def at_node(op: str, name: str) -> None:
    """Tells whoever started this process that the runtime is at that node now."""
    print(f"{AT_NODE}{json.dumps([op, name])}", flush=True)


def last_node(log: str) -> tuple[str, str] | None:
    """Op and name of the last node that a process was at, by what it printed; None when it told none."""
    told = [line for line in log.splitlines() if line.startswith(AT_NODE)]
    try:
        op, name = json.loads(told[-1].removeprefix(AT_NODE)) if told else ("", "")
    except ValueError:  # torn
        return None
    return (op, name) if told else None
