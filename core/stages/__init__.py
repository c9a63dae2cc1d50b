"""A build's stages, one file each; every stage runs in a process of its own (`core.base.children`)."""
