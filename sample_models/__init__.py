"""Models to try Engine Room on. `make_models.py` makes them."""
