"""What can be built and what was asked for: paths, requests, references, commands, the catalogue."""
