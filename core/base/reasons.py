"""What a library said when it failed, down to the words that tell why.

Runtimes put a code, the folder of a file and the whole signature of a C++ function before the reason, or a header line that tells
what they were about. None of that is the reason, and a cut by length would leave nothing but it.
"""

from __future__ import annotations

import re

# Where in its sources a C++ library gave up; the function's signature follows.
_SOURCE_FILE = re.compile(r"/[^\s:]+\.(?:cc|cpp|cxx|cu|h|hpp|inc):\d+ ")
_GOES_ON = re.compile(r"\(|>|::")  # after a closed parenthesis: operator()(...), <lambda(...)>::..., f()::g(...)
_TAIL = re.compile(r" ?(?:const|noexcept|&&?)(?= |$)| ?(?=\[)")
# ONNX Runtime's code and the file it was reading, before its reason.
_CODE = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : ")
_LOADING = re.compile(r"Load model from .+? failed: ?")
_FOLDERS = re.compile(r"(?<![\w.:/])/(?:[^\s/:]+/){3,}")  # of a path: which file it is tells its name
_MLIR_PLACE = re.compile(r"(?:loc\(|(?:fused|callsite)[\[(<])")
MOST_LETTERS = 600


def plain_reason(text: str) -> str:
    """The text without codes, C++ signatures and the folders of paths."""
    for found in reversed(list(_SOURCE_FILE.finditer(text))):
        text = text[: found.start()] + text[_signature_end(text, found.end()) :]
    return _FOLDERS.sub("", _LOADING.sub("", _CODE.sub("", text))).strip()


def shortened(text: str, most_letters: int = MOST_LETTERS) -> str:
    """What failed stands first in a long text, and why often last: both ends of it stay."""
    if len(text) <= most_letters:
        return text
    head = most_letters // 3
    return f"{text[:head]} ... {text[head - most_letters :]}"


def without_places(line: str) -> str:
    """A line of MLIR's without the location that it begins or ends with; empty where it holds nothing else."""
    while found := _MLIR_PLACE.search(line):
        end = _closed(line, found.end() - 1)
        line = f"{line[: found.start()].rstrip(' :')} {line[end:].lstrip(' :')}".strip()
    return line


def _signature_end(text: str, start: int) -> int:
    """Where the C++ signature that begins at `start` ends; `start` itself where there is none on that line."""
    line_end = text.find("\n", start)
    line_end = len(text) if line_end < 0 else line_end
    at = text.find("(", start, line_end)
    # A signature is `type name::name(`: with a sentence between, the parenthesis is the reason's own.
    if at < 0 or not re.search(r"[\w>~)]$|operator.{1,3}$", text[start:at]) or re.search(r"[.,;] |[!?=\"']", text[start:at]):
        return start
    while True:
        at = _closed(text, at)
        if not (more := _GOES_ON.match(text, at)):
            break
        following = at if more[0] == "(" else text.find("(", at, line_end)
        if following < 0:
            break
        at = following
    while tail := _TAIL.match(text, at):
        at = _closed(text, tail.end()) if text[tail.end() : tail.end() + 1] == "[" else tail.end()
    return at + (text[at : at + 1] == " ")


def _closed(text: str, start: int) -> int:
    """Behind the bracket that closes the one at `start`; the text's end where none does."""
    depth = 0
    for at in range(start, len(text)):
        if text[at] in "([":
            depth += 1
        elif text[at] in ")]":
            depth -= 1
            if depth == 0:
                return at + 1
    return len(text)
