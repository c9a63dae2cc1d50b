"""The Build page's settings of a precision."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from core.precision.settings import CalibrationMethod, Placement, PrecisionEngine, PrecisionSettings


def page() -> None:
    import streamlit as st

    from dashboard.components.precision_options import choose_lowering

    st.session_state["chosen"] = choose_lowering("k")


def chosen(app: AppTest) -> PrecisionSettings:
    assert not app.exception, app.exception
    found: PrecisionSettings = app.session_state["chosen"]
    return found


def test_nothing_chosen_is_the_default() -> None:
    assert chosen(AppTest.from_function(page).run()) == PrecisionSettings()


def test_everything_chosen_arrives() -> None:
    app = AppTest.from_function(page).run()
    app.text_input(key="k-keep").set_value("Softmax, Gemm")
    app.text_input(key="k-keep-nodes").set_value("head/*")
    app.number_input(key="k-percentile").set_value(99.999)
    app.number_input(key="k-max-rel").set_value(0.05)
    app.number_input(key="k-top1-drop").set_value(1.0)
    app.checkbox(key="k-layer-errors").check()
    app.multiselect(key="k-placement").set_value([Placement.HEAVY_ONLY, Placement.SCALES_BEHIND])
    assert chosen(app.run()) == PrecisionSettings(
        keep_ops=("Softmax", "Gemm"),
        keep_nodes=("head/*",),
        percentile=99.999,
        max_rel=0.05,
        top1_drop=0.01,
        layer_errors=True,
        placement=(Placement.SCALES_BEHIND, Placement.HEAVY_ONLY),
    )


def test_modelopt_has_methods_and_no_percentile() -> None:
    app = AppTest.from_function(page).run()
    app.selectbox(key="k-engine").select("modelopt").run()
    app.selectbox(key="k-method").select("entropy")
    assert chosen(app.run()) == PrecisionSettings(engine=PrecisionEngine.MODELOPT, method=CalibrationMethod.ENTROPY)
    assert "k-percentile" not in [box.key for box in app.number_input]
    assert not app.multiselect
