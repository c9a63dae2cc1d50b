"""build."""

import streamlit as st

st.title("build")
