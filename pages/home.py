"""Home: what this is."""

import streamlit as st

from dashboard import links
from dashboard.components.uploader import uploader

st.title("Engine Room")
if digest := uploader():
    links.go(links.MODEL, model=digest)
