"""system."""

import streamlit as st

st.title("system")
