"""Reports: one HTML file of a build or a comparison, with its charts, that opens without a network."""
