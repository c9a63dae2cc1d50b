"""Models as users bring them: formats, signatures, digests, intake."""
