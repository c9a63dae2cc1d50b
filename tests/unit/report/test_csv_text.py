"""Tables as CSV: what a spreadsheet would take for a formula is text, and numbers are numbers."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from core.report.csv_text import csv_text
from dashboard.components.csv_button import frame_as_csv

FORMULAS = [
    *("=1+1", "+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", " =1", "\u200b=1", "\u202e=1", "＝1", "-"),
    *('=HYPERLINK("x")', "+cmd|' /C calc'!A0"),
]
HARMLESS = ["a\rb", "conv/kernel:0", "a=b", "größe", "x, y", 'he said "x"', "", "1e5", "a\nb", "'=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_and_no_name_is_a_formula(text: str) -> None:
    for row in csv.reader(io.StringIO(csv_text([text], [[text], [f"{text}2"]]), newline="")):
        assert row[0].startswith("'")


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_stays_as_it_is(text: str) -> None:
    told = csv_text(["a", "b"], [[text, 1]])
    assert list(csv.reader(io.StringIO(told, newline="")))[1] == [text, "1"]


def test_numbers_stay_numbers_and_what_is_not_known_is_empty() -> None:
    frame = pd.DataFrame(
        {
            "ms": pd.array([-1.5, None], dtype="Float64"),
            "bytes": pd.array([-3, None], dtype="Int64"),
            "share": [float("nan"), 1e-7],
            "kernel": pd.array(["=1", None], dtype="string"),
            "n": [-1, 2],
            "flag": [True, None],
            "kind": pd.Series(["-x", "y"], dtype="category"),
        }
    )
    assert frame_as_csv(frame) == "ms,bytes,share,kernel,n,flag,kind\r\n-1.5,-3,,'=1,-1,True,'-x\r\n,,1e-07,,2,,y\r\n"


def test_what_no_file_holds_is_told_in_letters() -> None:
    assert csv_text(["a"], [["x\0y\ud800"]]) == "a\r\nx\\0y\\ud800\r\n"
