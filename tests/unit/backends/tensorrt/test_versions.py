"""The differences between TensorRT's versions."""

import pytest

from core.backends._tensorrt.versions import array_dtype, flags_for, network_flags, parse_version
from core.backends.tensorrt._product import features
from core.base.errors import Unavailable
from core.base.precision import Precision


@pytest.mark.parametrize(
    ("text", "version"), [("8.5.3.1", (8, 5)), ("8.6.0", (8, 6)), ("10.13.3.9.post1", (10, 13)), ("11.0", (11, 0))]
)
def test_versions_are_read(text, version):
    assert parse_version(text) == version


def test_unreadable_and_old_versions_are_refused():
    with pytest.raises(Unavailable, match="tells nothing"):
        parse_version("dev")
    with pytest.raises(Unavailable, match=r"8\.4 is too old"):
        features((8, 4))


def test_each_version_has_what_its_notes_say():
    table = {
        version: (
            f.strong_types,
            f.precision_flags,
            f.optimization_level,
            f.compatibility,
            f.progress_monitor,
            f.plugin_libraries,
            f.dla,
        )
        for version in ((8, 5), (8, 6), (10, 0), (11, 0))
        for f in (features(version),)
    }
    assert table == {
        (8, 5): (False, True, False, False, False, False, True),
        (8, 6): (False, True, True, True, False, True, True),
        (10, 0): (True, False, True, True, True, True, True),
        (11, 0): (True, False, True, True, True, True, False),
    }


@pytest.mark.parametrize("version", [(8, 5), (8, 6), (10, 0), (11, 0)])
def test_tf32_is_off_for_fp32_alone(version):
    told = {precision: flags_for(precision, features(version))["TF32"] for precision in Precision}
    assert [precision for precision, on in told.items() if not on] == [Precision.FP32]


def test_weak_typing_needs_flags_and_strong_typing_none():
    old, new = features((8, 6)), features((11, 0))
    assert flags_for(Precision.INT8, old) == {"TF32": True, "FP16": True, "INT8": True}
    assert flags_for(Precision.FP16, old) == {"TF32": True, "FP16": True, "INT8": False}
    assert flags_for(Precision.FP32, old) == {"TF32": False, "FP16": False, "INT8": False}
    assert flags_for(Precision.INT8, new) == {"TF32": True}


@pytest.mark.parametrize(
    ("version", "members", "flags"),
    [((8, 6), {"EXPLICIT_BATCH": 0}, 1), ((10, 0), {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}, 2), ((11, 0), {}, 0)],
)
def test_networks_are_made_with_the_flags_a_version_knows(version, members, flags):
    class Bindings:
        NetworkDefinitionCreationFlag = type("Flags", (), members)

    assert network_flags(Bindings, features(version)) == flags


def test_types_below_a_byte_have_no_array():
    assert array_dtype("BF16") == "bfloat16"
    assert array_dtype("INT4") is None
