"""engine."""

import streamlit as st

st.title("engine")
