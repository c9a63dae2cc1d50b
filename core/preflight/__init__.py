"""What every target takes of a model, node by node, before any build."""
