"""What pages ask of `core`: one queue for the whole server, models and builds remembered between reruns."""

from __future__ import annotations

import streamlit as st

from core.builds import Outcome
from core.jobs.queue import Queue
from core.models.model import Model
from core.workspace import Workspace, default_workspace


def workspace() -> Workspace:
    return default_workspace()


@st.cache_resource(show_spinner=False)
def queue() -> Queue:
    """The queue, shared by every session of this server."""
    return Queue(default_workspace())


def model(digest: str) -> Model:
    """A stored model.

    Raises:
        NotFound: There is none of that digest.
    """
    return workspace().model(digest)


def outcome(key: str) -> Outcome:
    """What a build found.

    Raises:
        NotFound: There is none of that key.
    """
    return queue().outcome(key)
