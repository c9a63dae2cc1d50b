"""The measures that trained networks of others are scored by, on outputs that are known to be right or wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.strangers.attempt import Came, Outcome
from bench.strangers.kept import as_line, kept, settled
from bench.strangers.report import Row
from bench.trained.chords import NOTES, SAMPLES, chords, notes_found
from bench.trained.files import features
from bench.trained.texts import HEIGHT, letters_right, phrases, pictures, read


def scores_of(steps: list[int], letters: int) -> np.ndarray:
    return np.eye(letters)[steps][None]


def test_repetitions_are_read_once_and_blanks_part_them() -> None:
    letters = ["", "a", "b"]
    assert read(scores_of([1, 1, 0, 1, 2, 2, 0], 3), letters) == ["aab"]


def test_letters_right_counts_edits() -> None:
    assert letters_right(["beauty is"], ["beautyis"]) == 1
    assert letters_right(["baut"], ["beaut"]) == 1 - 1 / 5
    assert letters_right(["", "ab"], ["ab", "ab"]) == 0.5


def test_calibration_shares_no_text_with_scoring() -> None:
    assert not {*phrases(1, 50)} & {*phrases(2, 50)}


def test_turned_lines_stand_on_their_heads() -> None:
    texts = ["Flat is better"]
    up, down = (pictures(2, texts, 400, np.array([turned])) for turned in (False, True))
    assert up.shape == (1, 3, HEIGHT, 400)
    own = int(np.argmax((up[0, 0] == 0).all(axis=0)))  # the first column behind the text
    assert 0 < own < 400
    assert np.abs(up[0, 0, :, :own] - down[0, 0, ::-1, own - 1 :: -1][:, :own]).max() < 0.1


def test_notes_are_found_among_the_loudest() -> None:
    sounds, notes = chords(2, 4)
    assert sounds.shape == (4, SAMPLES, 1)
    assert notes.shape == (4, NOTES)
    right = np.zeros((4, 10, 88))
    for own, true in zip(right, notes, strict=True):
        own[:, true] = 1
    assert notes_found(right, notes) == 1
    right[:, :, notes[:, 0]] = 0
    right[:, :, :NOTES] = 0.5
    assert notes_found(right, notes) < 1


def test_chords_sound_at_their_notes() -> None:
    sounds, notes = chords(4, 1)
    spectrum = np.abs(np.fft.rfft(sounds[0, 11025:, 0]))
    hertz = np.fft.rfftfreq(SAMPLES - 11025, 1 / 22050)
    for note in notes[0]:
        near = np.abs(hertz / (27.5 * 2 ** (note / 12)) - 1) < 0.01
        assert spectrum[near].max() > 20 * np.median(spectrum)


def test_short_files_are_padded_at_the_inner_ends(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"  ab\n")
    numbers = features(tmp_path / "a")
    assert numbers.shape == (2048,)
    assert numbers[:3].tolist() == [97, 98, 10]
    assert numbers[-4:].tolist() == [32, 32, 97, 98]
    assert set(numbers[3:-4].tolist()) == {256}


def test_what_was_kept_is_known_again(tmp_path: Path) -> None:
    file = tmp_path / "kept.jsonl"
    rows = [
        Row(model="m", group=group, backend="onnx.openvino", outcome=Outcome(came=came, reason=reason))
        for group, came, reason in (("fp32", Came.ON_PAR, ""), ("int8", Came.FAULT, "boom"), ("int8", Came.FAR, "0.2 off"))
    ]
    file.write_text("\n".join(map(as_line, rows)) + "\n")
    known = kept(file)
    assert list(known.values()) == [rows[0], rows[2]]
    assert list(settled(known, ["0.2"]).values()) == [rows[0]]
