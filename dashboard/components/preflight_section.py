"""Which nodes of a model each target takes, before any build: a line a target, and what to do about the nodes of one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from core.analysis.colours import SUPPORT_MARKS
from core.analysis.preflight import Problem, between_text, problems, regions_text, verdict_text
from core.base.units import UNKNOWN, count, plural, shortened
from core.graph.support import Verdict
from core.models.model import Format, Model
from core.preflight.answer import Preflight, Target
from core.preflight.subgraph import suffix_of
from dashboard import access, links, preflights
from dashboard.components.op_graph import select
from dashboard.failures import show_error
from dashboard.formatting import plain

REFRESH_SECONDS = 1.0
TARGET = "target"  # of the address: whose answer is shown
PROBLEMS_SHOWN = 12
NODES_SHOWN = 3
NAME_LETTERS = 80
_COLOURS = {Verdict.TAKEN: "green", Verdict.REFUSED: "red", Verdict.UNKNOWN: "orange"}


def show_preflight(model: Model, signature: str) -> tuple[Preflight, Target | None]:
    """The section, and the target whose answer it shows; while a preflight runs, the page is drawn anew when that is done."""
    st.header("Preflight", help="Every node of the model against every target, before any build, in the runtimes' own words.")
    told, paths = preflights.told(model, signature)
    if preflights.running(model, signature):
        st.fragment(_running, run_every=REFRESH_SECONDS)(model, signature)
        return told, None
    asked = [target for target in told.targets if target.answer or target.failure]
    if not told.targets:
        st.caption("No target on this machine can be asked about this model.")
    elif not asked:
        convert = "" if model.format is Format.ONNX else " It is converted first, as for a build."
        st.caption(f"Ask {_listed(told.targets)} which nodes they take, and why not the others, before you build.{convert}")
    if any(target.answer is None for target in told.targets):
        label = "Ask again where there is no answer" if asked else "Run preflight"
        if st.button(label, icon=":material/flight_takeoff:"):
            preflights.begin(model, signature, paths)
            st.rerun()
    shown = None
    if asked:
        st.dataframe(summary_frame(told), hide_index=True, placeholder=UNKNOWN, alt="Targets, and how many nodes each takes")
        shown = _one_target(model, told, asked)
    _unasked(told)
    return told, shown


def _running(model: Model, signature: str) -> None:
    state = preflights.running(model, signature)
    if state is None:
        st.rerun()
    st.progress(state.fraction, f"{plain(state.message)} …")
    st.button(
        "Cancel", icon=":material/close:", disabled=state.cancelled, on_click=preflights.cancel, args=(model, signature),
        help="Answers that are there already stay.",
    )  # fmt: skip


def _listed(targets: Sequence[Target]) -> str:
    titles = [target.title for target in targets]
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"


def summary_frame(told: Preflight) -> pd.DataFrame:
    """A row a target."""
    return pd.DataFrame([_row(target) for target in told.targets])


def _row(target: Target) -> dict[str, str]:
    support = target.answer.support if target.answer else None
    counts: Mapping[Verdict, int] = support.counts() if support else {}
    return {
        "Target": target.title,
        "Says": _says(target),
        **{verdict.value.capitalize(): count(counts.get(verdict)) for verdict in Verdict},
        "Regions": regions_text(target.answer) if target.answer else UNKNOWN,
        "Path": target.path,
    }


def _says(target: Target) -> str:
    """The verdict, with its mark."""
    if target.answer is None:
        return "✗ no answer" if target.failure else "not asked yet"
    counts = target.answer.support.counts()
    worst = Verdict.REFUSED if counts[Verdict.REFUSED] else Verdict.UNKNOWN if counts[Verdict.UNKNOWN] else Verdict.TAKEN
    return f"{SUPPORT_MARKS[worst]} {verdict_text(target)}"


def _one_target(model: Model, told: Preflight, asked: Sequence[Target]) -> Target:
    """What the chosen target does not take; the first that refuses something unless one is in the address."""
    titles = {target.backend: target.title for target in asked}
    start = chosen_target(asked).backend
    name = start
    if len(asked) > 1:
        key = f"preflight-{model.digest[:12]}-{told.signature}"
        follow = links.follow(TARGET, key, start)
        chosen = st.segmented_control(
            "Target",
            list(titles),
            format_func=titles.__getitem__,
            required=True,
            key=key,
            on_change=follow,
            label_visibility="collapsed",
        )
        name = chosen or start
    target = next(target for target in asked if target.backend == name)
    if target.failure:
        show_error(target.failure.to_error())
    if target.answer is None:
        return target
    found = problems(told, target)
    if not found:
        st.success(
            f"{target.title} {plain(verdict_text(target))}: {plain(regions_text(target.answer))}.", icon=":material/check_circle:"
        )
    for number, problem in enumerate(found[:PROBLEMS_SHOWN]):
        _problem(model, told, target, problem, number)
    if len(found) > PROBLEMS_SHOWN:
        st.caption(f"{plural(len(found) - PROBLEMS_SHOWN, 'other reason')}: `engineroom preflight --json` tells them all.")
    for note in (target.answer.support.way, *target.answer.support.notes[:5]):
        st.caption(plain(note))
    return target


def chosen_target(asked: Sequence[Target]) -> Target:
    named = [target for target in asked if target.backend == links.chosen(TARGET)]
    lacking = [target for target in asked if not target.takes_all]
    return (named or lacking or list(asked))[0]


def _problem(model: Model, told: Preflight, target: Target, problem: Problem, number: int) -> None:
    places = {node.name: place for place, node in enumerate(target.answer.support.nodes if target.answer else (), 1)}
    ticket = access.token()
    urls = [subgraph_url(model, told.signature, target, places[node.name], ticket) for node in problem.nodes]
    with st.container(border=True):
        mark = f":{_COLOURS[problem.verdict]}-badge[{SUPPORT_MARKS[problem.verdict]} {problem.verdict.value}]"
        cuts = f" · {problem.cuts_text}" if problem.cuts_text else ""
        st.markdown(f"{mark} **{plain(problem.op)}** · {plural(len(problem.nodes), 'node')}{cuts}")
        st.markdown(f"{target.title} says: {plain(problem.reason)}")
        for advice in problem.advice:
            st.markdown(f":material/arrow_forward: {plain(advice)}")
        for node, url in list(zip(problem.nodes, urls, strict=True))[:NODES_SHOWN]:
            name, show, take = st.columns([6, 2, 2], vertical_alignment="center")
            name.code(shortened(node.name, NAME_LETTERS), language=None, wrap_lines=True)
            place = place_in_graph(target, node.name)
            key = f"show-{target.backend}-{number}-{places[node.name]}"
            show.button(
                "In the graph", key=key, icon=":material/account_tree:", width="stretch", disabled=place is None, on_click=_show,
                args=(target.backend, place or 1), help="Selects it in the graph below.",
            )  # fmt: skip
            take.link_button(
                _kind(target), url, icon=":material/download:", width="stretch",
                help="This node with what it reads, as a small file: to try alone, or to hand on.",
            )  # fmt: skip
        if len(problem.nodes) > NODES_SHOWN:
            with st.expander(f"All {len(problem.nodes):,} nodes"):
                frame = pd.DataFrame(
                    {
                        "Node": [node.name for node in problem.nodes],
                        "Stands between": [between_text(node) for node in problem.nodes],
                        "Small file": urls,
                    }
                )
                column = st.column_config.LinkColumn(display_text=_kind(target))
                st.dataframe(
                    frame, hide_index=True, placeholder=UNKNOWN, column_config={"Small file": column}, alt="Nodes refused alike"
                )


def _kind(target: Target) -> str:
    return "TFLite" if target.answer and suffix_of(target.answer) == ".tflite" else "ONNX"


def _show(backend: str, place: int) -> None:
    st.query_params[TARGET] = backend
    select(place)


def place_in_graph(target: Target, name: str) -> int | None:
    """A node's position in the drawn graph, which leaves constants out; None for one that simplifying made."""
    if target.answer is None:
        return None
    drawn = [node.name for node in target.answer.support.nodes if node.op != "Constant" and not node.added]
    return drawn.index(name) + 1 if name in drawn else None


def subgraph_url(model: Model, signature: str, target: Target, place: int, ticket: str) -> str:
    """Where the node at that place, from 1, of a target's answer is downloaded; see dashboard/downloads.py."""
    query = urlencode({"signature": signature, "token": ticket})
    return f"/engine-room/models/{model.digest}/nodes/{target.backend}/{place}?{query}"


def _unasked(told: Preflight) -> None:
    if told.unasked:
        with st.expander(f"Not asked: {', '.join(one.title for one in told.unasked)}", icon=":material/do_not_disturb_on:"):
            for one in told.unasked:
                st.markdown(f"**{one.title}**: {plain(one.reason)}" + (f" What to do: {plain(one.hint)}" if one.hint else ""))
