"""The browser dashboard: everything that knows Streamlit, but for the pages themselves."""
