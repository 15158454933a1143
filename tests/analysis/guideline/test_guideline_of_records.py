"""The guideline of a study that was launched, from its records, and the command that writes it."""

import shutil

import numpy as np
import pytest
from guidelines import points, section
from made import ROWS, leave, outputs

import analysis
from analysis import guideline
from analysis.guideline import markdown
from kdlab.errors import BadInput
from kdlab.run import teacher_runs
from sweeps.plan import plan
from sweeps.study import reading as sweeps_study

STUDY = """
question: Does knowledge help?
base: [task=synthetic, size=l2_h64_a4, init=random]
seeds: [1, 2, 3, 4, 5]
blocks:
  - table: main
    control: none
    cases:
      none: [knowledge=none]
      logits: [knowledge=logits_kl]
      skip: [knowledge=hidden_mse, matching=skip]
      last: [knowledge=hidden_mse, matching=last]
"""
RIGHT = {"none": 240, "logits": 240, "skip": 340, "last": 300}


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """The root of a study with all its records."""
    tmp_path = tmp_path_factory.mktemp("launched")
    path = tmp_path / "made.yaml"
    path.write_text(STUDY)
    loaded = sweeps_study.load(str(path))
    planned = plan.plan(loaded)
    plan.write(planned, {}, "made", loaded, str(tmp_path))
    labels = np.random.default_rng(0).integers(2, size=ROWS).astype(float)
    left = set()
    for entry in planned:
        right = RIGHT[entry.cell.row] + (7 * entry.cell.seed + len(entry.cell.row)) % 11
        for run, number in [(entry.run, right), *((t, 350) for t in teacher_runs(entry.run))]:
            if run.uid not in left:
                leave(tmp_path, run.uid, outputs(labels, number), labels)
                left.add(run.uid)
    return tmp_path


def test_a_studys_records_make_its_guideline_with_examples_resampled(launched):
    runs = analysis.load("made", root=str(launched))
    found = guideline.guideline(runs)
    text = markdown(found)
    assert text.startswith("# Guideline of study made\n\nDoes knowledge help?\n")
    assert "holds what comes from seeds, teachers and examples." in text
    (prefer,) = section(found, "knowledge").recommended
    assert prefer.startswith("Prefer `hidden_mse`")
    # Against the arm without layers each matching counts: 100 and 60 rows of 400.
    assert points(prefer)[-1] == pytest.approx(20.0, abs=1.0)
    (matching,) = section(found, "matching").recommended
    assert points(matching)[-1] == pytest.approx(10.0, abs=1.0)
    assert markdown(guideline.guideline(analysis.load("made", root=str(launched)))) == text


def test_the_command_prints_the_guideline_and_writes_it(launched, monkeypatch, capsys):
    from analysis import __main__ as command

    arguments = ["analysis", "guideline", "made", "--root", str(launched)]
    monkeypatch.setattr("sys.argv", arguments)
    command.main()
    text = (launched / "studies" / "made" / "guideline.md").read_text()
    assert text == markdown(guideline.guideline(analysis.load("made", root=str(launched))))
    assert capsys.readouterr().out.startswith(text)
    monkeypatch.setattr("sys.argv", [*arguments, "--margin", "0"])
    with pytest.raises(SystemExit, match="2"):
        command.main()
    assert "--margin 0: points above 0" in capsys.readouterr().err


def test_without_outputs_the_examples_are_taken_as_they_are_and_it_is_said(launched, tmp_path):
    shutil.copytree(launched, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "outputs")
    found = guideline.guideline(analysis.load("made", root=str(tmp_path)))
    assert "holds what comes from seeds and teachers." in markdown(found)
    assert found.limits[-1].startswith("Not all of the 20 runs have their outputs here")


def test_a_study_of_which_nothing_is_done_has_no_guideline(launched, tmp_path):
    shutil.copytree(launched / "studies", tmp_path / "studies")
    with pytest.raises(BadInput, match="no student of the study has a score"):
        guideline.guideline(analysis.load("made", root=str(tmp_path)))
