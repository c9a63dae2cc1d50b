"""Trained networks with a measure of their own: data whose truth is known, and what share of it a network's outputs tell."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.trained import chords, files, texts
from bench.trained.packages import fetched, network_named, wheel_file

Arrays = Mapping[str, NDArray[Any]]
LABELS = "labels"
_LINE, _CLIP = 320, 192  # widths of pictures that the package's code feeds
_MAGIKA = "magika/models/standard_v3_3/config.min.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One network.

    Attributes:
        file: Its name among `bench.trained.packages`.
        measure: What the score is, as a table's head.
        made: Inputs with their `labels`: so many, by a seed that is even for scoring and odd for calibration, which share none.
        score: Of all outputs, joined along the first axis, against the labels: 0 to 1.
    """

    file: str
    measure: str
    made: Callable[[int, int], Arrays]
    score: Callable[[Arrays, NDArray[Any]], float]

    @property
    def graph(self) -> Path:
        return fetched(network_named(self.file))


def _lines(seed: int, count: int) -> Arrays:
    said = texts.phrases(seed, count)
    return {"x": texts.pictures(seed, said, _LINE), LABELS: np.array(said)}


def _letters(outputs: Arrays, labels: NDArray[Any]) -> float:
    from core.onnxio.file import read_onnx

    model = read_onnx(SCORED["text-recognizer"].graph)
    known = next(entry.value for entry in model.metadata_props if entry.key == "character").splitlines()
    (scores,) = outputs.values()
    return texts.letters_right(texts.read(scores, ["", *known, " "]), labels.tolist())


def _turned_lines(seed: int, count: int) -> Arrays:
    down = np.random.default_rng(seed).random(count) < 0.5
    return {"x": texts.pictures(seed, texts.phrases(seed, count), _CLIP, down), LABELS: down.astype(np.int64)}


def _classes(outputs: Arrays, labels: NDArray[Any]) -> float:
    (scores,) = outputs.values()
    return float(np.mean(scores.argmax(axis=-1) == labels))


def _files(seed: int, count: int) -> Arrays:
    chosen = files.files(seed % 2)
    chosen = [chosen[place] for place in np.random.default_rng(seed).permutation(len(chosen))[:count]]
    return {"bytes": np.stack([files.features(path) for path, _ in chosen]), LABELS: np.array([kind for _, kind in chosen])}


def _types(outputs: Arrays, labels: NDArray[Any]) -> float:
    known = json.loads(wheel_file(network_named("magika.onnx").package, _MAGIKA).read_text())["target_labels_space"]
    (scores,) = outputs.values()
    return float(np.mean(np.array(known)[scores.argmax(axis=-1)] == labels))


def _chords(seed: int, count: int) -> Arrays:
    sounds, notes = chords.chords(seed, count)
    return {"serving_default_input_2:0": sounds, LABELS: notes}


def _notes(outputs: Arrays, labels: NDArray[Any]) -> float:
    return chords.notes_found(outputs["StatefulPartitionedCall:1"], labels)  # of its three: contours, notes, onsets


SCORED = {
    "text-recognizer": Scored(file="text-recognizer.onnx", measure="letters right", made=_lines, score=_letters),
    "text-orientation": Scored(file="text-orientation.onnx", measure="top-1", made=_turned_lines, score=_classes),
    "magika": Scored(file="magika.onnx", measure="top-1", made=_files, score=_types),
    "basic-pitch": Scored(file="basic-pitch.onnx", measure="notes found", made=_chords, score=_notes),
}
