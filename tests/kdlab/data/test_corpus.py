"""Text becomes rows of equal length, and stretches of it are held out."""

import numpy as np
import pandas as pd
import pytest

from kdlab.data import corpus
from kdlab.data.splits import Rows
from kdlab.errors import BadInput

WORDS = [f"word{i}" for i in range(4003)]


def source(path, **changed):
    knobs = {"revision": None, "subset": None, "column": "text", "document": None, "words": 10}
    return corpus.source(path=str(path), **(knobs | {"report_rows": 64} | changed))


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("\n".join(" ".join(WORDS[i : i + 7]) for i in range(0, len(WORDS), 7)))
    return path


def test_no_word_is_lost_and_rows_are_equally_long(text):
    tables = [source(text).read(split) for split in ("train", "validation")]
    rows = pd.concat(tables).sort_values("idx")["text"]
    assert " ".join(rows).split() == WORDS
    assert [len(row.split()) for row in rows] == [10] * 400 + [3]


def test_validation_is_whole_stretches_of_neighbours(text):
    held = source(text).read("validation")["idx"].to_numpy()
    kept = source(text).read("train")["idx"].to_numpy()
    assert len(held) == 64
    assert not set(held) & set(kept)
    assert set(held // corpus.STRETCH).isdisjoint(kept // corpus.STRETCH)
    assert (np.diff(held) > 1).any(), "one end of the text only"


def test_select_is_stretches_too_and_fit_loses_equal_rows():
    ids = np.arange(640)
    texts = [(f"row {i % 600}",) for i in ids]  # the last 40 repeat the first
    fit, select = corpus.hold_out(Rows(ids, texts, np.zeros(640)), [], 0.25, 100)
    assert len(select) == 96
    assert set(select.ids // corpus.STRETCH).isdisjoint(fit.ids // corpus.STRETCH)
    assert not set(select.texts) & set(fit.texts)
    everything, share = corpus.hold_out(Rows(ids, texts, np.zeros(640)), [], 0.05, 100)
    assert len(share) == 32
    assert len(everything) > 590


def test_rows_do_not_go_beyond_a_document(tmp_path):
    table = pd.DataFrame(
        {"doc": ["a"] * 3 + ["b"] * 2, "body": ["x " * 200, "x", "x", "y " * 99, "y"]}
    )
    table.to_parquet(tmp_path / "books.parquet")
    made = source(tmp_path, column="body", document="doc", report_rows=16)
    rows = pd.concat([made.read(split) for split in corpus.SPLITS])["text"]
    assert sorted(map(len, map(str.split, rows))) == [2, *[10] * 30]
    assert all(len(set(row.split())) == 1 for row in rows)


def test_a_corpus_is_named_by_its_content_and_knobs_not_by_its_place(text, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.txt").write_text(text.read_text())
    splits = ["train", "validation"]
    assert source(text).identity(splits) == source(tmp_path / "elsewhere").identity(splits)
    assert source(text).identity(splits) != source(text, words=11).identity(splits)
    text.write_text(text.read_text() + " more")
    assert source(text).identity(splits) != source(tmp_path / "elsewhere").identity(splits)
    hub = source("owner/text", revision="b" * 40)
    assert f"owner/text@{'b' * 40}/None" in str(hub.identity(splits))


def test_what_cannot_be_read_is_refused_by_name(text, tmp_path):
    pd.DataFrame({"body": ["a b"]}).to_parquet(tmp_path / "table.parquet")
    with pytest.raises(BadInput, match="no column 'text'; there: body"):
        source(tmp_path / "table.parquet").read("train")
    with pytest.raises(BadInput, match="no split test; there: train, validation"):
        source(text).read("test")
    with pytest.raises(BadInput, match="report_rows=8: the corpus has 401 rows"):
        source(text, report_rows=8).read("train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no .parquet or .txt file"):
        source(tmp_path / "empty")
    with pytest.raises(BadInput, match="task.revision"):
        source("owner/text")
    for name, content in (("x.parquet", b"PAR1"), ("x.txt", b"\xff\xfe")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadInput, match=f"{name} cannot be read"):
            source(tmp_path / name).read("train")
    pd.DataFrame({"text": [["a", "b"]]}).to_parquet(tmp_path / "lists.parquet")
    with pytest.raises(BadInput, match=r"task.column=text: .* is no text"):
        source(tmp_path / "lists.parquet").read("train")
