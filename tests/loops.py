"""Asynchronous code in a loop of its own: Playwright keeps one running in the thread of whoever has a browser open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import anyio

T = TypeVar("T")


def run_apart(function: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """What the function returns, in another thread."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(anyio.run, function, *arguments).result()
