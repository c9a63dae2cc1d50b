"""The walls around users' models: which stand on this machine, and why others do not."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.base.box.walls import Sandbox, sandbox, told
from core.base.errors import EngineRoomError
from dashboard.formatting import sentence


def show_walls_table() -> None:
    try:
        walls, asked = told(), sandbox()
    except EngineRoomError as error:
        st.error(sentence(error.message))
        st.caption(sentence(error.hint))
        return
    frame = pd.DataFrame(
        {
            "Wall": [wall.name for wall in walls.walls],
            "Keeps a model from": [wall.what for wall in walls.walls],
            "Stands": ["yes" if wall.stands else "no" for wall in walls.walls],
            "Why not": [wall.why for wall in walls.walls],
        }
    )
    shown = frame if not walls.complete else frame.drop(columns=["Why not"])
    st.table(shown, hide_index=True, border="horizontal", alt="Walls around models")
    if asked is Sandbox.REQUIRED and not walls.complete:
        st.error("All walls are required, and not all can be put up here: no model is opened.")
    elif asked is Sandbox.OFF:
        st.warning("Models are opened without walls: a model can read and change what this server can.")
    else:
        st.caption("A model is a program. Each is opened in a process behind these walls; docs/security.md tells what they hold.")
