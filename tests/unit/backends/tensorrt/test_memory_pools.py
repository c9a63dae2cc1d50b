"""Limits of memory pools on their way to a builder's config, with the pools that each version's bindings list."""

from enum import IntEnum
from types import SimpleNamespace

import pytest

from core.backends._tensorrt.build import _limit_memory
from core.backends._tensorrt.options import read_settings
from core.backends._tensorrt.versions import parse_version
from core.backends.tensorrt._product import features
from core.base.errors import InvalidRequest
from core.base.profile import parse_profile
from core.base.tensors import Signature
from tests.unit.backends.tensorrt.api_uses import LISTINGS


class Config:
    """Keeps limits as `IBuilderConfig` does, up to a size that the GPU has."""

    def __init__(self, has: int) -> None:
        self.limits: dict[IntEnum, int] = {}
        self.has = has

    def set_memory_pool_limit(self, pool: IntEnum, pool_size: int) -> None:
        if pool_size <= self.has:
            self.limits[pool] = pool_size

    def get_memory_pool_limit(self, pool: IntEnum) -> int:
        return self.limits.get(pool, self.has)


def limited(text: str, listing: dict, has: int = 2**40) -> dict[str, int]:
    """What reaches the config, by pool."""
    version = features(parse_version(listing["version"]))
    signature = Signature(name="main", inputs=(), outputs=())
    settings = read_settings({"workspace_mb": 1, "memory_pools": text}, parse_profile([]), signature, version)
    trt = SimpleNamespace(MemoryPoolType=IntEnum("MemoryPoolType", listing["enums"]["MemoryPoolType"]))
    config = Config(has)
    _limit_memory(trt, config, SimpleNamespace(settings=settings, version=version))
    return {pool.name: limit for pool, limit in config.limits.items()}


@pytest.mark.parametrize("listing", LISTINGS, ids=lambda listing: listing["version"])
def test_every_pool_that_a_version_lists_is_limited(listing):
    others = [name for name in listing["enums"]["MemoryPoolType"] if name != "WORKSPACE"]
    found = limited(",".join(f"{name.lower()}:64K" for name in others), listing)
    assert found == {"WORKSPACE": 2**20, **dict.fromkeys(others, 2**16)}


def test_a_pool_that_a_version_lacks_is_refused():
    oldest = LISTINGS[0]
    with pytest.raises(InvalidRequest, match="has no MemoryPoolType 'tactic_dram'"):
        limited("tactic_dram:1G", oldest)


def test_a_limit_that_tensorrt_does_not_take_is_told():
    with pytest.raises(InvalidRequest, match=r"did not take 1073741824 bytes .* tactic_dram; it stays at 1048576"):
        limited("tactic_dram:1G", LISTINGS[-1], has=2**20)
