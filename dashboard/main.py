"""The app's frame, run on every rerun: login, navigation, then the page."""

from __future__ import annotations

import streamlit as st

from dashboard import links, theme
from dashboard.login import may_enter, show_login, show_user

st.set_page_config(page_title="Engine Room", page_icon=str(theme.MARK), layout="wide")
st.logo(str(theme.MARK), size="medium")
st.html(theme.STYLE)

PAGES = [
    st.Page(links.HOME, title="Home", default=True),
    st.Page(links.MODEL, title="Models", url_path="model"),
    st.Page(links.BUILD, title="Build", url_path="build"),
    st.Page(links.JOBS, title="Jobs", url_path="jobs"),
    st.Page(links.ENGINE, title="Engine", url_path="engine"),
    st.Page(links.COMPARE, title="Compare", url_path="compare"),
    st.Page(links.SYSTEM, title="System", url_path="system"),
]

page = st.navigation(PAGES, position="top" if may_enter() else "hidden")
if may_enter():
    show_user()
    page.run()
else:
    show_login()
