"""The ways to add a model: upload it, try the sample, or name a path on the server. Each leads to the model's page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from core.base.errors import EngineRoomError
from core.base.progress import Progress
from dashboard import links
from dashboard.components.uploader import uploader
from dashboard.failures import show_error
from dashboard.formatting import plain
from dashboard.intakes import allowed_folder, allowed_path, take_in
from sample_models.make_models import sample

SAMPLE = "digits"


def add_model(*, key: str = "add") -> None:
    """The uploader, and below it a form for a path where the server allows that."""
    if digest := uploader(key=f"{key}-uploader"):
        links.go(links.MODEL, model=digest)
    if folder := allowed_folder():
        with (
            st.expander("Add a model by its path on the server", icon=":material/folder_open:"),
            st.form(f"{key}-path", border=False),
        ):
            text = st.text_input("Path", placeholder="resnet50/saved_model", help=f"Of a file, folder or archive in `{folder}`.")
            inputs = st.text_input("Inputs, for a frozen graph only", placeholder="image")
            outputs = st.text_input("Outputs, for a frozen graph only", placeholder="probabilities")
            if st.form_submit_button("Add it", icon=":material/add:"):
                _take(lambda: allowed_path(text), inputs=_names(inputs), outputs=_names(outputs))


def sample_button(*, primary: bool) -> None:
    """Stores the committed sample and opens it."""
    if st.button(
        "Try the sample model",
        type="primary" if primary else "secondary",
        icon=":material/rocket_launch:",
        key="sample",
        help="A small network that reads handwritten digits; it builds in seconds on any machine.",
    ):
        _take(lambda: sample(SAMPLE))


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _take(find: Callable[[], Path], *, inputs: list[str] | None = None, outputs: list[str] | None = None) -> None:
    """Reads the model in a child process, tells how far it is, and opens its page."""
    box = st.status("Reading the model")

    def tell(step: Progress) -> None:
        box.update(label=plain(step.message if step.fraction is None else f"{step.message} · {step.fraction:.0%}"))

    try:
        digest = take_in(find(), inputs=inputs or (), outputs=outputs or (), report=tell)
    except EngineRoomError as error:
        box.update(label="The model could not be added", state="error")
        show_error(error)
        return
    links.go(links.MODEL, model=digest)
