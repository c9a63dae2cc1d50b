"""The knobs, read and checked against the version."""

import pytest

from core.backends import tensorrt_rtx
from core.backends._tensorrt.options import OPTIONS, read_settings
from core.backends.base import BuildConfig
from core.backends.tensorrt import BACKEND
from core.backends.tensorrt._product import features
from core.base.errors import InvalidRequest, Unavailable
from core.base.precision import Precision
from core.base.profile import parse_profile
from core.base.tensors import Signature, TensorSpec

SIGNATURE = Signature(
    name="main",
    inputs=(TensorSpec(name="image", dtype="float32", shape=("batch", 3)),),
    outputs=(TensorSpec(name="y", dtype="float32", shape=("batch",)),),
)


def settings(version=(8, 6), **options):
    defaults = {option.name: option.default for option in OPTIONS}
    return read_settings({**defaults, **options}, parse_profile(["batch=1"]), SIGNATURE, features(version))


def test_defaults_ask_for_nothing():
    read = settings()
    assert read.workspace_bytes is None
    assert read.tactic_sources == read.plugins == ()
    assert read.memory_pools == {}
    assert read.aux_streams is read.dla_core is read.hardware_compatibility is None
    assert read.timing_cache
    assert len(read.profiles) == 1
    assert settings((8, 5)).optimization_level is None


def test_more_profiles_follow_the_requests():
    read = settings(profiles="batch=8; batch=8:16:32")
    assert [(p.axes["batch"].min, p.axes["batch"].opt, p.axes["batch"].max) for p in read.profiles] == [
        (1, 1, 1),
        (8, 8, 8),
        (8, 16, 32),
    ]


def test_values_are_read():
    read = settings(workspace_mb=512, tactic_sources="cublas, CUDNN", aux_streams=0, hardware_compatibility="ampere_plus")
    assert read.workspace_bytes == 512 * 2**20
    assert read.tactic_sources == ("cublas", "cudnn")
    assert read.aux_streams == 0
    assert read.hardware_compatibility == "ampere_plus"


def test_memory_pools_are_read_as_trtexec_reads_them():
    read = settings(memory_pools="tactic_dram:2.5G, TACTIC_SHARED_MEMORY:64k,dla_managed_sram:1, dla_local_dram:512M")
    assert read.memory_pools == {
        "tactic_dram": 5 * 2**29,
        "tactic_shared_memory": 2**16,
        "dla_managed_sram": 2**20,
        "dla_local_dram": 2**29,
    }


@pytest.mark.parametrize(
    ("version", "options", "message"),
    [
        ((8, 5), {"optimization_level": 5}, "has no optimization_level: it came with 8.6"),
        ((8, 5), {"version_compatible": True}, "has no version_compatible"),
        ((11, 0), {"dla_core": 0}, "has no dla_core: it is missing from 10.8 to 11.3"),
        ((8, 6), {"tactic_sources": "cublas,magic"}, "No tactic source is called magic"),
        ((8, 6), {"plugins": "/no/such/plugin.so"}, "No plugin library lies at"),
        ((8, 6), {"workspace_mb": -1}, "makes no sense"),
        ((8, 6), {"memory_pools": "magic:1"}, "No other memory pool is called magic"),
        ((8, 6), {"memory_pools": "workspace:1"}, "workspace_mb limits the workspace"),
        ((8, 6), {"memory_pools": "tactic_dram"}, "Could not read the size of the memory pool in 'tactic_dram'"),
        ((8, 6), {"memory_pools": "tactic_dram:0"}, "Could not read the size"),
        ((8, 6), {"memory_pools": "tactic_dram:1T"}, "Could not read the size"),
        ((8, 6), {"memory_pools": "dla_managed_sram:3"}, "power of two"),
        ((8, 6), {"memory_pools": "dla_global_dram:2K"}, "power of two"),
        ((8, 6), {"profiles": "batch=three"}, "Could not read the shape"),
        ((8, 6), {"profiles": "length=3"}, "no dynamic axis length"),
    ],
)
def test_what_cannot_be_is_refused(version, options, message):
    with pytest.raises(InvalidRequest) as refused:
        settings(version, **options)
    assert message in f"{refused.value} {refused.value.hint}"


def test_the_backend_shows_every_option_once():
    names = [option.name for option in BACKEND.options]
    assert BACKEND.options is OPTIONS
    assert len(set(names)) == len(names)


RTX = tensorrt_rtx.BACKEND


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_capabilities": "9.0"}, "No engine can be built for compute capability 9.0."),
        ({"target_capabilities": "8.6, 12.x"}, "No engine can be built for compute capability 12.x."),
        ({"memory_pools": "foo:1"}, "No other memory pool is called foo."),
        ({"profiles": "batch=8;length=3"}, "Signature main has no dynamic axis length."),
        ({"profiles": "batch=8:1:2"}, "A shape range must rise from at least 1: 8:1:2 does not."),
        ({"workspace_mb": -1}, "A workspace of -1 MiB makes no sense."),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_made(options, message):
    with pytest.raises(InvalidRequest) as caught:
        RTX.check(BuildConfig(options=options), SIGNATURE)
    assert caught.value.message == message


def test_capabilities_that_lack_the_precision_are_told_before_too():
    with pytest.raises(Unavailable, match="FP8 needs compute capability"):
        RTX.check(BuildConfig(precision=Precision.FP8, options={"target_capabilities": "8.6"}), SIGNATURE)
    RTX.check(BuildConfig(precision=Precision.FP8), SIGNATURE)  # the portable engine names none


@pytest.mark.parametrize("option", ["refit", "strip_weights"])
def test_weights_that_can_be_replaced_need_a_gpu_and_that_is_told_before(option):
    with pytest.raises(Unavailable, match="only where a GPU is"):
        RTX.check(BuildConfig(options={option: True}), SIGNATURE)
    RTX.check(BuildConfig(options={option: True}, device="cuda"), SIGNATURE)


def test_a_capability_that_is_named_twice_counts_once():
    assert RTX.capabilities({"target_capabilities": " 8.9 ,8.6,,8.6"}) == ("8.9", "8.6")
