"""System."""

import streamlit as st

st.title("System")
