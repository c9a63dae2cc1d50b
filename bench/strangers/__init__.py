"""Models that nobody here wrote, on every path that can run them here: what came of each, and in whose words."""
