"""A table as Markdown, LaTeX and CSV."""

import math

import pandas as pd

from analysis.cells import Cell
from analysis.frame import TEACHER
from analysis.tables import Table


def markdown(table: Table) -> str:
    """The table, what its numbers are, and what its rows are."""
    lines = [f"**{table.name}** ({table.split}): {table.question}", ""]
    lines += [_wide(table).to_markdown(index=False), ""]
    lines += [f"- {note}" for note in (explanation(table), *table.notes)]
    lines += [f"- {row}: `{overrides}`" for row, overrides in table.legend.items()]
    return "\n".join(lines) + "\n"


def latex(table: Table) -> str:
    """A booktabs table; needs \\usepackage{booktabs}."""
    wide = _wide(table).map(_escape)
    wide.columns = [_escape(column) for column in wide.columns]
    styled = wide.style.hide(axis="index")
    caption = _escape(" ".join([table.question, explanation(table), *map(_sentence, table.notes)]))
    text = styled.to_latex(
        hrules=True, column_format="l" + "r" * (wide.shape[1] - 1), caption=caption
    )
    return str(text)


def csv(table: Table) -> str:
    """One line a cell, in points, unrounded."""
    rows = [
        {"table": table.name, "split": table.split, "row": row, "column": column, **cell.__dict__}
        for (row, column), cell in table.cells.items()
    ]
    return str(pd.DataFrame(rows).to_csv(index=False))


def explanation(table: Table) -> str:
    """What a cell says, in one sentence."""
    return (
        "Cells: mean ± standard deviation over seeds, in points; (n/expected) where runs are "
        "missing; then the paired difference to the control with a 95 % bootstrap interval over "
        "teachers, seeds and examples."
        + (" FLOPs: of one row of 128 tokens." if _models_differ(table) else "")
    )


def _wide(table: Table) -> pd.DataFrame:
    rows, are_shown = [], _models_differ(table)
    shared = {column for (_, column), cell in table.cells.items() if not math.isnan(cell.share)}
    for row in table.rows:
        entry = {"": row}
        if are_shown:
            entry |= {head: _model(table, row, *what) for head, what in MODEL.items()}
        for column in table.columns:
            cell = table.cells.get((row, column))
            entry[column] = _score(cell)
            entry[f"Δ {column}"] = _difference(cell)
            if column in shared:
                entry[f"gap closed {column}"] = _share(cell)
        rows.append(entry)
    return pd.DataFrame(rows)


MODEL = {
    "Transformer": ("transformer", 1e6, "M"),
    "parameters": ("parameters", 1e6, "M"),
    "FLOPs": ("flops", 1e9, "G"),
}


def _models_differ(table: Table) -> bool:
    """Whether the students that records know are of several architectures."""
    students = [cell for (row, _), cell in table.cells.items() if row != TEACHER]
    return len({(cell.transformer, cell.flops) for cell in students if cell.flops > 0}) > 1


def _model(table: Table, row: str, key: str, unit: float, sign: str) -> str:
    """A row's number, the same in every column but for the classifier; "" if no record has it."""
    found = [getattr(cell, key) / unit for (name, _), cell in table.cells.items() if name == row]
    shown = [f"{n:.{2 if n >= 1 else 3}f} {sign}" for n in found if not math.isnan(n)]
    return " or ".join(dict.fromkeys(shown))


def _score(cell: Cell | None) -> str:
    if cell is None:
        return "n/a"
    count = "" if cell.n == cell.expected else f" ({cell.n}/{cell.expected})"
    if not cell.n:
        return f"missing{count}" if not cell.diverged else f"diverged{count}"
    mark = "†" if cell.degenerate else ""
    deviation = "" if math.isnan(cell.spread) else f" ± {cell.spread:.1f}"
    return f"{cell.mean:.1f}{deviation}{mark}{count}"


def _difference(cell: Cell | None) -> str:
    if cell is None or math.isnan(cell.difference):
        return ""
    return f"{cell.difference:+.1f} [{cell.low:.1f}, {cell.high:.1f}]{cell.mark}"


def _share(cell: Cell | None) -> str:
    return "" if cell is None or math.isnan(cell.share) else f"{cell.share:.0f} %"


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:]}."


TEX = {
    "\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$",
    "{": r"\{", "}": r"\}", "^": r"\^{}", "~": r"\~{}", "Δ": r"$\Delta$", "±": r"$\pm$",
    "†": r"$\dagger$", "≈": r"$\approx$", "*": r"$^{*}$", "<": "$<$",
}  # fmt: skip


def _escape(text: str) -> str:
    return "".join(TEX.get(character, character) for character in text)
