"""What a model is: its facts, its signatures, its ops, and its graph in each form of it that is there."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.base.errors import EngineRoomError
from core.base.tensors import Signature, TensorSpec
from core.base.units import UNKNOWN, count, plural, shape, short_count, size
from core.models.model import Model
from core.preflight.answer import Preflight, Target
from core.preflight.subgraph import path_of
from core.storage.builds import Build
from dashboard import services
from dashboard.charts.ops import ops_figure
from dashboard.components.chart import show_chart
from dashboard.components.op_graph import Told, op_graph
from dashboard.failures import show_error
from dashboard.formatting import plain, sentence, visible
from dashboard.op_source import ModelForm, forms_of, op_graph_of

FACT_PIXELS = 168
SIGNATURE = "signature"  # of the address
KINDS = "kinds"


def show_facts(model: Model) -> None:
    """The figures in a row, and the digest to copy."""
    facts = [
        ("Parameters", short_count(model.parameters), f"{count(model.parameters)} elements that the default signature reaches."),
        ("Weights", size(model.frozen_bytes), "Bytes of those weights alone: what an engine's size is fairly compared with."),
        ("On disk", size(model.size_bytes), "As uploaded, with everything that is not needed to run it."),
        (
            "Graph nodes",
            count(sum(model.ops.values()) or None),
            "Of the default signature's graph, constants and reads of weights too.",
        ),
    ]
    with st.container(horizontal=True):
        for label, value, note in facts:
            st.metric(label, value, help=note, border=True, width=FACT_PIXELS)
    made = [model.format.label, model.producer, f"opset {model.opset}" if model.opset else None]
    st.markdown(" · ".join(plain(text) for text in made if text))
    st.code(model.digest, language=None)
    for note in model.notes:
        st.info(sentence(note), icon=":material/info:")


def show_signatures(model: Model) -> None:
    """The signature to look at, kept in the address, with its tensors."""
    st.header("Signature" if len(model.signatures) == 1 else f"Signatures · {len(model.signatures)}")
    names = [signature.name for signature in model.signatures]
    chosen = shown_signature(model)
    if len(names) > 1:
        chosen = st.selectbox("Signature", names, index=names.index(chosen), format_func=visible, label_visibility="collapsed")
        st.query_params[SIGNATURE] = chosen
    else:
        st.markdown(plain(chosen))
    _tensors(model.signature(chosen))


def shown_signature(model: Model) -> str:
    """Name of the signature in the address, the first when there is none."""
    names = [signature.name for signature in model.signatures]
    asked = st.query_params.get(SIGNATURE)
    return asked if asked in names else names[0]


def _tensors(signature: Signature) -> None:
    rows = [("Input", spec) for spec in signature.inputs] + [("Output", spec) for spec in signature.outputs]
    frame = pd.DataFrame([{"Kind": kind, **_spec(spec)} for kind, spec in rows])
    st.dataframe(frame, hide_index=True, placeholder=UNKNOWN, alt=f"Inputs and outputs of {signature.name}")
    if signature.symbols:
        st.caption(f"Dynamic axes: {plain(', '.join(signature.symbols))}. A build gives each of them a range.")


def _spec(spec: TensorSpec) -> dict[str, str]:
    return {"Name": spec.name, "Type": spec.dtype, "Shape": shape(spec)}


def show_ops(model: Model) -> None:
    st.header(f"Graph nodes · {plural(len(model.ops), 'kind')}")
    if not model.ops:
        st.caption("This model's ops are not known.")
        return
    told = ", ".join(f"{number} {name}" for name, number in list(model.ops.items())[:5])
    show_chart(ops_figure(model.ops), f"{model.name}-ops", f"How often each op occurs: {told}")
    with st.expander("All of them as a table"):
        frame = pd.DataFrame({"Op": list(model.ops), "Count": list(model.ops.values())})
        st.dataframe(frame, hide_index=True, placeholder=UNKNOWN, alt="Ops and how often each occurs")


@st.fragment
def show_graph(model: Model, builds: list[Build], told: Preflight | None = None, target: Target | None = None) -> None:
    """The graph of the model; which form of it when there are several, coloured by kind of op or by what a target takes.

    Args:
        told: What targets were asked.
        target: The one to colour it by at first.
    """
    st.header("Graph")
    answers = {one.backend: one for one in (told.targets if told else ()) if one.answer}
    forms = forms_of(services.workspace(), model, builds, [one.answer.graph for one in answers.values() if one.answer])
    start = _form_of(target, model, forms) or forms[0]
    mark = f"{model.digest[:12]}-{target.backend if target else ''}"
    titles = [form.title for form in forms]
    title = start.title
    if len(forms) > 1:
        title = st.segmented_control("Form", titles, default=start.title, required=True, key=f"form-{mark}")
    form = next((form for form in forms if form.title == title), forms[0])
    signature = model.signature(shown_signature(model))
    try:
        graph = op_graph_of(form, signature)
    except EngineRoomError as error:
        show_error(error)
        return
    if len(forms) == 1:
        st.caption(
            f"As uploaded, {model.format.label}" + (f", signature {plain(signature.name)}" if len(model.signatures) > 1 else "")
        )
    if graph.layers:
        about = {name: one for name, one in answers.items() if _form_of(one, model, forms) == form}
        op_graph(f"{model.digest[:12]}-{signature.name}-{title}", graph, _colours(about, target, f"{mark}-{title}"))
        nodes = sum(model.ops.values())
        if form.path == forms[0].path and signature == model.signatures[0] and len(graph.layers) < nodes:
            left = "constants, reads of weights and what only hands a value on are left out"
            st.caption(f"{plural(len(graph.layers), 'operation')} of {plural(nodes, 'node')}: {left}.")
    else:
        st.caption("There is no operation in it: its outputs are constants.")
    for note in graph.notes[:5]:
        st.caption(sentence(note))


def _form_of(target: Target | None, model: Model, forms: list[ModelForm]) -> ModelForm | None:
    """The form that a target was asked about."""
    if target is None or target.answer is None:
        return None
    path = path_of(services.workspace(), model, target.answer.graph)
    return next((form for form in forms if form.path in (path, path.parent)), None)


def _colours(about: Mapping[str, Target], target: Target | None, mark: str) -> Told | None:
    """What to colour the graph by: one of the targets that were asked about it, or None for kinds of op."""
    if not about:
        return None
    titles = {KINDS: "Kind of op"} | {name: f"{one.title} takes" for name, one in about.items()}
    start = target.backend if target and target.backend in about else KINDS
    chosen = st.segmented_control(
        "Colours", list(titles), default=start, format_func=titles.__getitem__, required=True, key=f"colours-{mark}"
    )
    one = about.get(chosen or KINDS)
    return Told(backend=one.backend, title=one.title, nodes=one.answer.support.nodes) if one and one.answer else None
