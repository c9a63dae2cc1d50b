"""One file a runtime, all behind `core.backends.base.Backend`."""
