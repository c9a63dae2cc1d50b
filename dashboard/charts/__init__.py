"""Figures from rows: plotly here, no Streamlit."""
