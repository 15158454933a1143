"""What was launched is what was written: a bit anywhere in it is refused."""

import re

import pandas as pd
import pytest
from flips import flipped
from study_texts import CHOSEN, SETTINGS

from kdlab.errors import BadInput
from sweeps.study import launched, reading


def test_a_bit_anywhere_in_a_launched_plan_is_refused(example, tmp_path, monkeypatch):
    monkeypatch.setattr(launched, "RACE_SECONDS", 0.0)
    folder = tmp_path / "studies" / "example"
    folder.mkdir(parents=True)
    path = folder / launched.PLAN_FILE
    pd.DataFrame({"uid": ["a" * 32], "row": ["logits"]}).to_parquet(path)
    before = launched.read_plan("example", tmp_path)
    launched.save(reading.load(str(example)), (), folder)
    assert launched.read_plan("example", tmp_path).equals(before)
    for _ in flipped(path, 60):
        with pytest.raises(BadInput, match="plan.parquet is not what was written; written anew by"):
            launched.read_plan("example", tmp_path)


def test_a_bit_anywhere_in_the_study_that_was_launched_is_refused(tmp_path):
    (tmp_path / "chosen.csv").write_text(CHOSEN)
    (tmp_path / "mine.yaml").write_text(SETTINGS)
    launched.save(reading.load(str(tmp_path / "mine.yaml")), ("seed=1",), tmp_path)
    path = tmp_path / launched.STUDY_FILE
    again = f"{path} is not what was written; launch {tmp_path.name} from its file"
    for _ in flipped(path):
        for read in (launched.read, launched.command_line, launched.text):
            with pytest.raises(BadInput, match=re.escape(again)):
                read(tmp_path)
