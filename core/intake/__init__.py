"""Takes models in: finds one in what was given, and stores it."""
