"""What GLUE's server takes (gluebenchmark.com/faq): eleven files in a zip, and the check of one."""

import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from kdlab.errors import BadInput

HEADER = "index\tprediction"
BINARY = ("0", "1")
TWO_WAY = ("entailment", "not_entailment")
THREE_WAY = ("entailment", "neutral", "contradiction")
LOWEST, HIGHEST = 0.0, 5.0  # of STS-B
LISTED = 6  # problems, in a message


@dataclass(frozen=True)
class Sheet:
    """One file of a submission.

    Attributes:
        name: of the file, without `.tsv`.
        task, split: whose outputs it has, by kdlab's names.
        rows: of the official test set.
        words: a class each, in the order of its label; none: scores from 0 to 5.
    """

    name: str
    task: str
    split: str
    rows: int
    words: tuple[str, ...]

    @property
    def file(self) -> str:
        """Its name in the zip."""
        return f"{self.name}.tsv"


SHEETS = (
    Sheet("CoLA", "cola", "test", 1063, BINARY),
    Sheet("SST-2", "sst2", "test", 1821, BINARY),
    Sheet("MRPC", "mrpc", "test", 1725, BINARY),
    Sheet("STS-B", "stsb", "test", 1379, ()),
    Sheet("QQP", "qqp", "test", 390_965, BINARY),
    Sheet("MNLI-m", "mnli", "test_matched", 9796, THREE_WAY),
    Sheet("MNLI-mm", "mnli", "test_mismatched", 9847, THREE_WAY),
    Sheet("QNLI", "qnli", "test", 5463, TWO_WAY),
    Sheet("RTE", "rte", "test", 3000, TWO_WAY),
    Sheet("WNLI", "wnli", "test", 146, BINARY),
    Sheet("AX", "mnli", "test_ax", 1104, THREE_WAY),  # diagnostics, by the model of MNLI
)


def check(submission: str | Path | bytes, *, partial: bool = False) -> list[str]:
    """Read a submission's zip and return the names of its files, in their order.

    Args:
        submission: its path, or its bytes.
        partial: whether files may be missing.

    Raises:
        BadInput: naming what is wrong with names, headers, rows, indices, words or scores.
    """
    name_of_zip = "the submission" if isinstance(submission, bytes) else str(submission)
    opened = io.BytesIO(submission) if isinstance(submission, bytes) else submission
    try:
        with ZipFile(opened) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
            counts = Counter(archive.namelist())
    except (OSError, BadZipFile) as error:
        raise BadInput(f"{name_of_zip}: not a zip that can be read: {error}") from None
    sheets = {sheet.file: sheet for sheet in SHEETS}
    # A zip may hold a name twice, and a dict of its content hides that.
    problems = [f"{name}: twice" for name, count in counts.items() if count > 1]
    problems += [f"{name}: no file of a submission" for name in content if name not in sheets]
    missing = [name for name in sheets if name not in content]
    if missing and (not partial or len(missing) == len(sheets)):  # nothing at all is no part
        problems.append(f"missing: {', '.join(missing)}")
    for name in sheets.keys() & content.keys():
        problems += [f"{name}: {text}" for text in _faults(sheets[name], content[name])]
    if problems:
        more = f"; and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise BadInput(f"{name_of_zip}: {'; '.join(sorted(problems)[:LISTED])}{more}")
    return [name for name in sheets if name in content]


def _faults(sheet: Sheet, content: bytes) -> list[str]:
    """The first thing that is wrong with a file's content; [] if nothing is."""
    try:
        lines = content.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        return [f"no UTF-8: {error}"]
    if lines[-1] == "":  # behind the last line's end
        lines = lines[:-1]
    if not lines or lines[0] != HEADER:
        return [f"its header is {lines[0] if lines else ''!r}, not {HEADER!r}"]
    if len(lines) - 1 != sheet.rows:
        return [f"{len(lines) - 1} rows, the test set has {sheet.rows}"]
    for position, line in enumerate(lines[1:]):
        index, _, prediction = line.partition("\t")
        if index != str(position):
            return [f"row {position} has the index {index!r}"]
        if not _is_prediction(sheet, prediction):
            allowed = ", ".join(sheet.words) or f"a number from {LOWEST:g} to {HIGHEST:g}"
            return [f"row {position} says {prediction!r}, allowed: {allowed}"]
    return []


def _is_prediction(sheet: Sheet, text: str) -> bool:
    if sheet.words:
        return text in sheet.words
    try:
        score = float(text)
    except ValueError:
        return False
    return LOWEST <= score <= HIGHEST  # which NaN is not
