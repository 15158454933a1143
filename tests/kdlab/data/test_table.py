"""Local folders and hub names."""

import pandas as pd
import pytest

from kdlab.config.compose import compose
from kdlab.data import table
from kdlab.errors import BadInput


def test_any_folder_of_parquet_files_is_a_task(tmp_path):
    frame = pd.DataFrame({"question": ["a b", "c d"] * 40, "answer": [0, 1] * 40})
    for name in ("train", "validation"):
        frame.to_parquet(tmp_path / f"{name}.parquet")
    run = compose(
        "task=table",
        f"task.path={tmp_path}",
        "task.text=[question]",
        "task.label=answer",
        "task.classes=2",
        "teacher=none",
        "knowledge=none",
    )
    assert len(run.source.bind()().read("train")) == 80
    assert run.source.bind()().identity(["train"])["train"] != ""


def test_a_missing_split_names_what_is_there(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "train.parquet")
    source = table.source(path=str(tmp_path), revision=None, subset=None, folder=None)
    with pytest.raises(BadInput, match="no file for split dev in .*; there: train.parquet"):
        source.read("dev")
    with pytest.raises(BadInput, match="no folder SST-2"):
        table.source(path=str(tmp_path), revision=None, subset="sst2", folder="SST-2")


def test_a_hub_name_must_be_pinned_and_is_its_own_identity():
    with pytest.raises(BadInput, match="task.revision"):
        table.source(path="nyu-mll/glue", revision="main", subset="rte", folder=None)
    source = table.source(path="nyu-mll/glue", revision="a" * 40, subset="rte", folder="RTE")
    assert source.identity(["train"]) == {"train": f"nyu-mll/glue@{'a' * 40}/rte"}


def test_glue_names_dev_what_the_hub_calls_validation(glue):
    source = table.source(path=glue, revision=None, subset="mnli", folder="MNLI")
    assert len(source.read("validation_matched")) == 9815
