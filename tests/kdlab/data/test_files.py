"""Data as people have it: every kind of file, and what is wrong with a row in one line."""

import csv
import json
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest

from kdlab.config.compose import compose
from kdlab.data import files, splits, table
from kdlab.errors import BadInput

CLASSES = ["no", "yes"]
TEXTS = [f'row {i}, "{i % 7}" NA' for i in range(40)]


def rows(first: int, last: int) -> pd.DataFrame:
    texts = TEXTS[first:last]
    return pd.DataFrame({"text": texts, "answer": [CLASSES[i % 2] for i in range(len(texts))]})


def saved(frame: pd.DataFrame) -> datasets.Dataset:
    kinds = {"text": datasets.Value("string"), "answer": datasets.ClassLabel(names=["yes", "no"])}
    numbers = frame.assign(answer=frame["answer"].map({"yes": 0, "no": 1}))
    return datasets.Dataset.from_pandas(numbers, datasets.Features(kinds), preserve_index=False)


def _tsv(frame: pd.DataFrame, path: Path) -> None:
    lines = ["\t".join(row) for row in [frame.columns, *frame.to_numpy()]]
    path.write_text("\n".join(lines) + "\n")


def _json(frame: pd.DataFrame, path: Path) -> None:
    path.write_text(json.dumps(frame.to_dict("records")))


WRITERS = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "tsv": _tsv,  # quotes are text, as in GLUE's own
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "json": _json,
    "parquet": lambda frame, path: frame.to_parquet(path),
}


def task(path: Path, *more: str):
    own = ("task=table", f"task.path={path}", "task.text=[text]", "task.label=answer")
    return compose(*own, "task.classes=2", "teacher=none", "knowledge=none", *more)


def parts(run) -> dict[str, splits.Rows]:
    return splits.split(run.task, run.source.bind()(), run.protocol)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_folder_of_any_kind_of_file_is_a_task(kind, tmp_path):
    WRITERS[kind](rows(0, 30), tmp_path / f"train.{kind}")
    WRITERS[kind](rows(30, 40), tmp_path / f"dev.{kind}")
    found = parts(task(tmp_path))
    assert [text for (text,) in found["report"].texts] == TEXTS[30:]
    assert found["report"].labels.tolist() == [0, 1] * 5  # no, yes: sorted
    assert found["fit"].names == ("no", "yes")
    assert sorted([*found["fit"].ids, *found["select"].ids]) == list(range(30))


@pytest.mark.parametrize("kind", ["saved", "parquet"])
def test_a_class_label_has_its_own_order(kind, tmp_path):
    halves = {"train": saved(rows(0, 30)), "validation": saved(rows(30, 40))}
    if kind == "saved":
        datasets.DatasetDict(halves).save_to_disk(str(tmp_path))
    else:
        for name, half in halves.items():
            half.to_parquet(str(tmp_path / f"{name}.parquet"))
    found = parts(task(tmp_path))
    assert (found["fit"].names, found["report"].labels.tolist()) == (("yes", "no"), [1, 0] * 5)
    asked = parts(task(tmp_path, "task.labels=[no,yes]"))
    assert (asked["fit"].names, asked["report"].labels.tolist()) == (("no", "yes"), [0, 1] * 5)
    with pytest.raises(BadInput, match="answer has yes, no, task.labels bad, good"):
        parts(task(tmp_path, "task.labels=[bad,good]"))


@pytest.mark.parametrize("kind", ["csv", "saved"])
def test_a_single_table_has_a_tenth_of_its_rows_as_validation(kind, tmp_path):
    path = tmp_path / f"all.{kind}"
    if kind == "saved":
        saved(rows(0, 40)).save_to_disk(str(path))
    else:
        WRITERS[kind](rows(0, 40), path)
    run = task(path)
    found = parts(run)
    assert len(found["report"]) == 4
    assert sorted(np.concatenate([part.ids for part in found.values()])) == list(range(40))
    assert found["report"].ids.tolist() == parts(task(path, "seed=5"))["report"].ids.tolist()
    source = run.source.bind()()
    assert source.identity(["train"]) != source.identity(["train", "validation"])
    with pytest.raises(BadInput, match="no test; several: task.path=FOLDER task.train=a.csv"):
        source.read("test")


def test_splits_may_be_files_by_name(tmp_path):
    for name, frame in (("a", rows(0, 30)), ("b", rows(30, 40))):
        WRITERS["csv"](frame, tmp_path / f"{name}.csv")
    run = task(tmp_path, "task.train=a.csv", "task.report.report=b.csv")
    assert len(parts(run)["report"]) == 10
    WRITERS["tsv"](rows(0, 30), tmp_path / "a.tsv")
    with pytest.raises(BadInput, match=r"may be any of a.csv, a.tsv: name the file"):
        task(tmp_path, "task.train=a", "task.report.report=b.csv")


def test_the_content_is_the_identity_and_so_is_how_it_is_read(tmp_path):
    for room in ("one", "two", "three"):
        (tmp_path / room).mkdir()
        for name in ("train", "dev"):
            ending = "tsv" if room == "three" else "csv"
            WRITERS["csv"](rows(0, 40), tmp_path / room / f"{name}.{ending}")
    uids = [task(tmp_path / room).uid for room in ("one", "two", "three")]
    assert uids[0] == uids[1] != uids[2]
    assert task(tmp_path / "one", "task.labels=[yes,no]").uid != uids[0]
    WRITERS["csv"](rows(0, 39), tmp_path / "two" / "dev.csv")
    assert task(tmp_path / "two").uid != uids[0]


def test_quotes_in_a_tsv_are_csvs_only_where_the_whole_file_has_them_so(tmp_path):
    frame = pd.DataFrame({"text": ['say "a"', "b\tc"], "answer": CLASSES})
    frame.to_csv(tmp_path / "quoted.tsv", sep="\t", index=False, quoting=csv.QUOTE_ALL)
    (tmp_path / "literal.tsv").write_text('text\tanswer\n"It began\tno\nso" he said\tyes\n')
    assert files.read(tmp_path / "quoted.tsv")["text"].tolist() == ['say "a"', "b\tc"]
    assert files.read(tmp_path / "literal.tsv")["text"].tolist() == ['"It began', 'so" he said']


WRONG = [
    ("train.parquet", b"PAR1 and no more", "train.parquet cannot be read: "),
    ("train.csv", b"", "train.csv cannot be read: No columns"),
    ("train.csv", b"text,answer\na,b\na,b,c,d\n", "train.csv cannot be read: Error tokenizing"),
    ("train.csv", b"text,answer\n\xff\xfe,b\n", "train.csv cannot be read: "),
    ("train.jsonl", b'{"text": "a"\n', "train.jsonl cannot be read: "),
    ("train.jsonl", b'"a"\n', "train.jsonl cannot be read: a row is an object"),
    ("train.jsonl", b"", "train has no rows"),
    ("train.csv", b"text,answer\n", "train has no rows"),
    ("train.csv", b"text,answer\na,no\n,yes\n", "1 of 2 rows of train have no text, first row 2"),
    ("train.csv", b"words,answer\na,no\n", "no column 'text'; there: words, answer"),
    (
        "train.jsonl",
        b'{"text": "a", "answer": 0}\n{"text": null, "answer": 1}\n',
        "1 of 2 rows of train have no text, first row 2, column 'text'",
    ),
    (
        "train.jsonl",
        b'{"text": ["a", "b"], "answer": 0}\n{"text": "b", "answer": 1}\n',
        "first row 1, column 'text': ['a', 'b']",
    ),
    ("train.jsonl", b'{"text": 3, "answer": 0}\n', "first row 1, column 'text': 3"),
    ("train.csv", b"text,answer\na,no\nb,no\n", "all of train is no: there is nothing to learn"),
    ("train.csv", b"text,answer\na,\nb,\n", "none in train: there is nothing to learn"),
    ("train.csv", b"text,answer\na,1\nb,2\nc,3\n", "answer has 3 values (1, 2, 3), task.classes=2"),
    ("train.csv", b"text,answer\na,-1\nb,2\nc,1\n", None),  # -1 is no label: one row has none
    ("train.jsonl", b'{"text": "a", "answer": [0]}\n', "answer holds lists"),
    ("train.csv", b"text,answer\na,no\nb,yes\nc,\n", "1 rows of train have no label in answer"),
]


@pytest.mark.parametrize(("name", "content", "says"), WRONG)
def test_what_is_wrong_with_data_is_one_line(name, content, says, tmp_path):
    (tmp_path / name).write_bytes(content)
    WRITERS["parquet"](rows(0, 8), tmp_path / "dev.parquet")
    with pytest.raises(BadInput) as error:
        parts(task(tmp_path))
    assert (says or "1 rows of train have no label") in str(error.value)
    assert "\n" not in str(error.value)


def test_a_label_that_train_has_not_is_refused_in_report(tmp_path):
    WRITERS["csv"](rows(0, 30), tmp_path / "train.csv")
    other = rows(30, 40).assign(answer="maybe")
    WRITERS["csv"](other, tmp_path / "dev.csv")
    with pytest.raises(BadInput, match="maybe in validation and not in train, which has no, yes"):
        parts(task(tmp_path))


def test_a_path_that_is_nothing_says_so():
    for path in ("/nowhere/all.csv", "nowhere.parquet"):
        with pytest.raises(BadInput, match="no such file or folder"):
            table.source(path=path, revision=None, subset=None, folder=None)
