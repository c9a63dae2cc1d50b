"""What a model is: its facts, its signatures, its ops, and its graph in each form of it that is there."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.base.errors import EngineRoomError
from core.base.tensors import Signature, TensorSpec
from core.base.units import count, plural, shape, short_count, size
from core.models.model import Model
from core.storage.builds import Build
from dashboard import services
from dashboard.charts.ops import ops_figure
from dashboard.components.chart import show_chart
from dashboard.components.op_graph import op_graph
from dashboard.failures import show_error
from dashboard.op_source import forms_of, op_graph_of

FACT_PIXELS = 168
SIGNATURE = "signature"  # of the address


def show_facts(model: Model) -> None:
    """The figures in a row, and the digest to copy."""
    facts = [
        ("Parameters", short_count(model.parameters), f"{count(model.parameters)} elements that the default signature reaches."),
        ("Weights", size(model.frozen_bytes), "Bytes of those weights alone: what an engine's size is fairly compared with."),
        ("On disk", size(model.size_bytes), "As uploaded, with everything that is not needed to run it."),
        ("Operations", count(sum(model.ops.values()) or None), "Nodes of the default signature's graph."),
    ]
    with st.container(horizontal=True):
        for label, value, note in facts:
            st.metric(label, value, help=note, border=True, width=FACT_PIXELS)
    made = [model.format.label, model.producer, f"opset {model.opset}" if model.opset else None]
    st.markdown(" · ".join(text for text in made if text))
    st.code(model.digest, language=None)
    for note in model.notes:
        st.info(note, icon=":material/info:")


def show_signatures(model: Model) -> None:
    """The signature to look at, kept in the address, with its tensors."""
    st.header("Signature" if len(model.signatures) == 1 else f"Signatures · {len(model.signatures)}")
    names = [signature.name for signature in model.signatures]
    chosen = _shown_signature(model)
    if len(names) > 1:
        chosen = st.selectbox("Signature", names, index=names.index(chosen), label_visibility="collapsed")
        st.query_params[SIGNATURE] = chosen
    else:
        st.markdown(f"`{chosen}`")
    _tensors(model.signature(chosen))


def _shown_signature(model: Model) -> str:
    """Name of the signature in the address, the first when there is none."""
    names = [signature.name for signature in model.signatures]
    asked = st.query_params.get(SIGNATURE)
    return asked if asked in names else names[0]


def _tensors(signature: Signature) -> None:
    rows = [("Input", spec) for spec in signature.inputs] + [("Output", spec) for spec in signature.outputs]
    frame = pd.DataFrame([{"Kind": kind, **_spec(spec)} for kind, spec in rows])
    st.dataframe(frame, hide_index=True, alt=f"Inputs and outputs of {signature.name}")
    if signature.symbols:
        st.caption(f"Dynamic axes: {', '.join(signature.symbols)}. A build gives each of them a range.")


def _spec(spec: TensorSpec) -> dict[str, str]:
    return {"Name": spec.name, "Type": spec.dtype, "Shape": shape(spec)}


def show_ops(model: Model) -> None:
    st.header(f"Operations · {plural(len(model.ops), 'kind')}")
    if not model.ops:
        st.caption("This model's ops are not known.")
        return
    told = ", ".join(f"{number} {name}" for name, number in list(model.ops.items())[:5])
    show_chart(ops_figure(model.ops), f"{model.name}-ops", f"How often each op occurs: {told}")
    with st.expander("All of them as a table"):
        frame = pd.DataFrame({"Op": list(model.ops), "Count": list(model.ops.values())})
        st.dataframe(frame, hide_index=True, alt="Ops and how often each occurs")


@st.fragment
def show_graph(model: Model, builds: list[Build]) -> None:
    """The graph of the model's ONNX form; which one when there are several."""
    st.header("Graph")
    forms = forms_of(services.workspace(), model, builds)
    titles = [form.title for form in forms]
    title = st.segmented_control("Form", titles, default=titles[0], required=True) if len(forms) > 1 else titles[0]
    form = next((form for form in forms if form.title == title), forms[0])
    signature = model.signature(_shown_signature(model))
    try:
        graph = op_graph_of(form, signature)
    except EngineRoomError as error:
        show_error(error)
        return
    if len(forms) == 1:
        st.caption(f"As uploaded, {model.format.label}" + (f", signature {signature.name}" if len(model.signatures) > 1 else ""))
    if graph.layers:
        op_graph(f"{model.digest[:12]}-{signature.name}-{title}", graph)
    else:
        st.caption("There is no operation in it: its outputs are constants.")
    for note in graph.notes[:5]:
        st.caption(note)
