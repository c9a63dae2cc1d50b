"""Engine Room's engine: takes a model, builds it for a runtime, measures it and looks inside. Knows no Streamlit."""

__version__ = "0.1.0"
