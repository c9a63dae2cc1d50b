"""The look: one accent colour, light and dark, every text at a contrast of 4.5 or more on its background."""

from __future__ import annotations

from pathlib import Path

MARK = Path(__file__).parent / "brand" / "mark.svg"

_SHARED: dict[str, object] = {
    "paddingTop": "1.5rem",
    "baseRadius": "8px",
    "buttonRadius": "8px",
    "baseFontSize": 15,
    "headingFontSizes": ["1.9rem", "1.25rem", "1.1rem", "1rem", "0.95rem", "0.9rem"],
    "headingFontWeights": [650, 600, 600, 600, 600, 600],
    "metricValueFontSize": "1.55rem",
    "codeFontSize": "0.85rem",
    "linkUnderline": False,
    "showWidgetBorder": True,
}
_LIGHT: dict[str, object] = {
    "primaryColor": "#0b6b80",
    "backgroundColor": "#ffffff",
    "secondaryBackgroundColor": "#f3f6f8",
    "textColor": "#0a121a",
    "linkColor": "#0b6276",
    "borderColor": "#d5dde3",
    "codeTextColor": "#17475a",
    "codeBackgroundColor": "#f3f6f8",
    "grayTextColor": "#4d5b68",
    "greenTextColor": "#14663a",
    "orangeTextColor": "#8a4a00",
    "redTextColor": "#a3211f",
    "blueTextColor": "#0b5394",
}
_DARK: dict[str, object] = {
    "primaryColor": "#5fcbe3",
    "backgroundColor": "#10171d",
    "secondaryBackgroundColor": "#1a242c",
    "textColor": "#e6edf2",
    "linkColor": "#6fd0e6",
    "borderColor": "#33424e",
    "codeTextColor": "#9bdcec",
    "codeBackgroundColor": "#1a242c",
    "grayTextColor": "#a9b7c2",
    "greenTextColor": "#7ddba3",
    "orangeTextColor": "#ffc27a",
    "redTextColor": "#ff9d96",
    "blueTextColor": "#8cc4ff",
}

CONFIG = {
    **{f"theme.{name}": value for name, value in _SHARED.items()},
    **{f"theme.light.{name}": value for name, value in _LIGHT.items()},
    **{f"theme.dark.{name}": value for name, value in _DARK.items()},
}

# On a narrow screen the columns of the Build page's board lie one below the other: each box then says what it is.
# In the dark, a primary colour that can be read as text is too light for the white that Streamlit writes on it.
STYLE = """<style>
[data-testid^="stBaseButton-primary"], [data-testid^="stBaseButton-primary"] * { color: light-dark(#ffffff, #06222a); }
@media (max-width: 640px) {
  .st-key-path-board-head { display: none; }
  .st-key-path-board [data-testid="stColumn"]:has([class*="st-key-path-board-cannot-"]) { display: none; }
  .st-key-path-board [data-testid="stWidgetLabel"] { display: flex; width: auto; height: auto; }
  .st-key-path-board [data-testid="stHorizontalBlock"] { gap: 0.35rem; padding-bottom: 0.5rem; }
}
</style>"""
