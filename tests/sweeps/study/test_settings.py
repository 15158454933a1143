"""A file of settings gives each case and task overrides of its own."""

import pytest
from study_texts import CHOSEN, SETTINGS

from kdlab.errors import BadInput
from sweeps.study import cells as expand
from sweeps.study import launched, reading
from sweeps.study.outline import outline


def test_settings_of_a_file_are_overrides_of_their_case_and_task(tmp_path):
    (tmp_path / "chosen.csv").write_text(CHOSEN)
    (tmp_path / "mine.yaml").write_text(SETTINGS)
    loaded = reading.load(str(tmp_path / "mine.yaml"))
    found = {cell.overrides for cell in expand.expand(outline(loaded))}
    assert found == {
        ("task=rte", "knowledge=logits_kl", "train.lr=2e-5", "hard.weight=0.3", "seed=1"),
        ("task=mnli", "knowledge=logits_kl", "train.lr=5e-5", "seed=1"),
        ("task=rte", "knowledge=none", "seed=1"),
        ("task=mnli", "knowledge=none", "seed=1"),
    }
    launched.save(loaded, (), tmp_path)  # without the file
    assert launched.read(tmp_path)[0] == loaded


@pytest.mark.parametrize(
    ("text", "csv", "message"),
    [
        (SETTINGS.replace("rte, mnli", "rte, cola"), CHOSEN, "settings: kd has none for task=cola"),
        (SETTINGS.replace("chosen", "lost"), CHOSEN, "settings: no file"),
        (SETTINGS, "case,lr\n", "needs the columns case, task, and keys of a run"),
        (SETTINGS, CHOSEN + "kd,rte,1,1,\n", "line 5: the same case and task twice"),
        (SETTINGS, CHOSEN.replace("kd,", "kb,"), "none for these cases; there: kb, other"),
        (SETTINGS.replace("kd: [k", "kd: [train.lr=1, k"), CHOSEN, "train.lr=1: settings set it"),
        (SETTINGS.replace("{task", "{train.lr: [1], task"), CHOSEN, "train.lr=2e-5: grid sets it"),
    ],
)
def test_settings_that_are_wrong_are_refused_in_one_line(tmp_path, text, csv, message):
    (tmp_path / "chosen.csv").write_text(csv)
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(BadInput, match=message) as error:
        list(expand.expand(outline(reading.load(str(tmp_path / "mine.yaml")))))
    assert "\n" not in str(error.value)
