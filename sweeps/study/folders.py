"""Where studies lie. Loads nothing, since the Tab key waits for it."""

from pathlib import Path

STUDIES = Path(__file__).resolve().parents[1] / "studies"
