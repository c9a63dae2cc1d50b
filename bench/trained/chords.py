"""Sounds of three notes: what a transcriber of music is scored on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLES, RATE_HZ = 43_844, 22_050
NOTES = 3
_LOWEST = 21  # the MIDI number of the transcriber's first note, the A of 27.5 Hz
_RANGE = (40, 88)
_APART = 3  # semitones
_OVERTONES = 6


def chords(seed: int, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Sounds (count, SAMPLES, 1), and the notes (count, NOTES) in each, counted from the A of 27.5 Hz."""
    rng = np.random.default_rng(seed)
    notes = np.stack([_notes(rng) for _ in range(count)])
    return np.stack([_sound(own, rng) for own in notes])[..., None].astype(np.float32), notes - _LOWEST


def notes_found(scores: NDArray[Any], notes: NDArray[Any]) -> float:
    """The share of the notes that are among as many that score highest, of (count, frames, notes) on average over the frames."""
    best = np.argsort(scores.mean(axis=1), axis=-1)[:, -NOTES:]
    return float(np.mean([len({*own} & {*true}) / NOTES for own, true in zip(best.tolist(), notes.tolist(), strict=True)]))


def _notes(rng: np.random.Generator) -> NDArray[np.int64]:
    while True:
        notes = np.sort(rng.integers(*_RANGE, NOTES))
        if (np.diff(notes) >= _APART).all():
            return notes


def _sound(notes: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Plucked strings: overtones that grow weaker, all of it dying away, on a floor of noise."""
    seconds = np.arange(SAMPLES) / RATE_HZ
    total = rng.normal(0, 0.003, SAMPLES)
    for note in notes:
        hertz, loudness, decay = 440 * 2 ** ((note - 69) / 12), rng.uniform(0.08, 0.25), rng.uniform(0.8, 3)
        start = rng.uniform(0, 0.3)
        since = np.maximum(seconds - start, 0)
        for overtone in range(1, _OVERTONES + 1):
            wave = np.sin(2 * np.pi * hertz * overtone * since + rng.uniform(0, 2 * np.pi)) / overtone**1.3
            total += loudness * wave * np.exp(-decay * since) * (seconds >= start)
    return np.clip(total, -1, 1)
