"""What a runtime does that crashes while it is asked; boxed processes read no more of the tests than these few imports."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from core.base.children.nodes import at_node
from core.base.progress import Report
from core.preflight.ask import Question, ask

OPENVINO = "openvino"


def crash(root: Path, question: Question, report: Report) -> None:
    """In place of `ask`: what a runtime does that dies at a node, for one target alone."""
    if question.request.backend == OPENVINO:
        at_node("Relu", "fine")
        at_node("Fancy", "the\nlast one")
        os.kill(os.getpid(), signal.SIGSEGV)
    ask(root, question, report)
