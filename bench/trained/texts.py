"""Lines of text as pictures, with noise: what a reader of text and a judge of its orientation are scored on."""

from __future__ import annotations

import codecs
import keyword
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.float32]
HEIGHT = 48
_MOST_LETTERS = 22
_WORDS = 3  # of a phrase


def phrases(seed: int, count: int) -> list[str]:
    """Out of the Zen of Python for an even seed, out of Python's keywords for an odd one, so that the two share none."""
    rng = np.random.default_rng(seed)
    if seed % 2:
        names = [*keyword.kwlist, *keyword.softkwlist]
        found = [f"{rng.choice(names)} {rng.choice(names)} {rng.integers(10, 9999)}" for _ in range(count)]
    else:
        words = _zen().split()
        starts = rng.integers(0, len(words) - _WORDS, count)
        found = [" ".join(words[start : start + _WORDS]) for start in starts]
    return [phrase[:_MOST_LETTERS].strip() for phrase in found]


def _zen() -> str:
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()):  # it prints itself
        import this
    return codecs.decode(this.s, "rot13")


def pictures(seed: int, texts: list[str], width: int, turned: NDArray[np.bool_] | None = None) -> Pictures:
    """(count, 3, HEIGHT, width) from -1 to 1, zeros behind the text; those that are `turned` stand on their heads."""
    rng = np.random.default_rng(seed)
    made = [_drawn(text, rng) for text in texts]
    if turned is not None:
        made = [image[::-1, ::-1] if down else image for image, down in zip(made, turned, strict=True)]
    return np.stack([_fitted(image, width) for image in made])


def _drawn(text: str, rng: np.random.Generator) -> NDArray[Any]:
    """Grey, of any size: ink and paper of any contrast, a little turned, blurred and with noise."""
    from PIL import Image, ImageDraw, ImageFilter, ImageFont

    font = ImageFont.load_default(size=int(rng.integers(18, 40)))
    left, top, right, bottom = font.getbbox(text)
    paper, ink = int(rng.integers(150, 256)), int(rng.integers(0, 100))
    image = Image.new("L", (int(right - left) + 16, int(bottom - top) + 12), paper)
    ImageDraw.Draw(image).text((8 - left, 6 - top), text, fill=ink, font=font)
    image = image.rotate(float(rng.uniform(-2, 2)), Image.Resampling.BILINEAR, fillcolor=paper)
    image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.6))))
    grey = np.asarray(image, np.float32) + rng.normal(0, rng.uniform(0, 25), (image.height, image.width))
    return np.clip(grey, 0, 255).astype(np.uint8)


def _fitted(image: NDArray[Any], width: int) -> Pictures:
    from PIL import Image

    own = min(width, round(HEIGHT * image.shape[1] / image.shape[0]))
    sized = np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((own, HEIGHT)), np.float32)
    picture = np.zeros((3, HEIGHT, width), np.float32)
    picture[:, :, :own] = sized / 127.5 - 1
    return picture


def read(scores: NDArray[Any], letters: list[str]) -> list[str]:
    """What a network of (count, steps, letters) spells: the best letter a step, repetitions once, blanks (the first) left out."""
    found = []
    for steps in scores.argmax(axis=-1):
        kept = [best for best, before in zip(steps, [-1, *steps[:-1]], strict=True) if best != before and best]
        found.append("".join(letters[one] for one in kept))
    return found


def letters_right(read_texts: list[str], true_texts: list[str]) -> float:
    """One less the edits that are needed, as a share of the letters; spaces do not count."""
    pairs = [(ours.replace(" ", ""), true.replace(" ", "")) for ours, true in zip(read_texts, true_texts, strict=True)]
    return 1 - sum(_edits(*pair) for pair in pairs) / sum(len(true) for _, true in pairs)


def _edits(one: str, other: str) -> int:
    """Letters to insert, delete or replace (Levenshtein)."""
    row = list(range(len(other) + 1))
    for index, letter in enumerate(one, 1):
        before, row = row, [index]
        for place, wanted in enumerate(other, 1):
            row.append(min(before[place] + 1, row[-1] + 1, before[place - 1] + (letter != wanted)))
    return row[-1]
