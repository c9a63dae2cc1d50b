"""The app's frame, run on every rerun: navigation, then the page."""

from __future__ import annotations

import streamlit as st

st.set_page_config(page_title="Engine Room", page_icon="⚙️", layout="wide")

PAGES = [
    st.Page("../pages/home.py", title="Home", default=True),
    st.Page("../pages/model.py", title="Models", url_path="model"),
    st.Page("../pages/build.py", title="Build", url_path="build"),
    st.Page("../pages/jobs.py", title="Jobs", url_path="jobs"),
    st.Page("../pages/engine.py", title="Engine", url_path="engine"),
    st.Page("../pages/compare.py", title="Compare", url_path="compare"),
    st.Page("../pages/system.py", title="System", url_path="system"),
]

st.navigation(PAGES, position="top").run()
