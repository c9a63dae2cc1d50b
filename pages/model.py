"""Models."""

import streamlit as st

from dashboard import links, services

found = services.model(links.chosen("model") or "")
st.title(found.name)
