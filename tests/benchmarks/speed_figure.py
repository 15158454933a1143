"""The README's figure of speed and the table of `docs/explanation/speed.md`, from the results here.

    python tests/benchmarks/speed_figure.py            # writes the figure, prints the table

The results are files of `peers.py`. A system that several files have is taken from the last one,
and is compared with TextBrewer as its README runs it in the same round of the same file.
"""

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from analysis.figures import style
from analysis.figures.drawing import rendered, settled
from kdlab.storage.durable import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REPOSITORY = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).parent / "results"
FIGURE = REPOSITORY / "analysis" / "results" / "speed.svg"
# In the order in which they were measured: a teacher is asked once in the last two.
FILES = ("logits", "cls", "textbrewer", "asked_logits", "asked_cls")
BASE, ASKED = "TextBrewer, README", "kdlab, one run, its teacher asked before"
# By what `peers.py` calls it, what a reader does.
SYSTEMS = {
    BASE: "TextBrewer as its README runs it",
    "TextBrewer, rows padded to their batch": "TextBrewer, rows padded to their batch",
    "Trainer with a KD loss": "Hugging Face's Trainer with a KD loss",
    "kdlab, one run": "kdlab, one run",
    ASKED: "kdlab, one run, its teacher asked by an earlier one",
    "kdlab, cohort of 8": "kdlab, a cohort of 8",
}
KINDS = {"logits": "2x128, logits", "cls": "3x384, logits and PKD"}
# Of a run: what is timed, how the figure calls it, and its sign.
PARTS: dict[str, tuple[str, style.Sign]] = {
    "training": ("training alone", style.SIGNIFICANT),
    "whole": ("taken all in all: reading, tokenising and scoring too", style.NOT_SIGNIFICANT),
}
POINT: style.Sign = {"color": "black", "linestyle": "none", "markersize": 4}
APART = 0.17  # of a row, between the two
SPAN = (0.65, 38.0)  # of the scale


class Speed(NamedTuple):
    """Seconds of one run, and how many times as fast as `BASE`: medians over rounds."""

    seconds: float
    ratio: float


Speeds = dict[tuple[str, str, str], Speed]  # by kind, system and part


def read() -> list[dict[str, Any]]:
    """The files of results."""
    return [json.loads((RESULTS / f"peers_cpu_{name}.json").read_text()) for name in FILES]


def speeds(files: Sequence[Mapping[str, Any]]) -> Speeds:
    """How fast each system is; of several files that have it the last counts."""
    found = {}
    for file in files:
        by_round = {(r["kind"], r["system"], r["round"]): r for r in file["results"]}
        for kind, system in {(kind, system) for kind, system, _ in by_round}:
            own = [r for r in file["results"] if (r["kind"], r["system"]) == (kind, system)]
            for part in PARTS:
                ratios = [by_round[kind, BASE, r["round"]][part] / r[part] for r in own]
                seconds = statistics.median(r[part] for r in own)
                found[kind, system, part] = Speed(seconds, statistics.median(ratios))
    return found


def table(found: Speeds) -> str:
    """The seconds of a run's training, as Markdown."""
    lines = [f"| | {' | '.join(KINDS.values())} |", "|---|---|---|"]
    for system, name in SYSTEMS.items():
        seconds = [f"{found[kind, system, 'training'].seconds:.1f}" for kind in KINDS]
        lines.append(f"| {name} | {' | '.join(seconds)} |")
    return "\n".join(lines)


def where(files: Sequence[Mapping[str, Any]]) -> str:
    """The task and the machine, which are the same in all files."""
    (said,) = {
        f"SST-2, {file['rows']:,} rows, teacher MiniLM-L6, fp32. {file['machine']['device']}, "
        f"{file['machine']['cores']} cores, no GPU; PyTorch {file['machine']['torch']}."
        for file in files
    }
    return said.replace("(R)", "")


@style.paper()
def drawn(found: Speeds, said: str) -> "Figure":
    """A panel for each kind, a line for each system."""
    from matplotlib.ticker import NullLocator

    names = [style.wrapped(name, 33) for name in SYSTEMS.values()]
    figure, axes = style.panels(len(KINDS), per_row=2, height=2.3, sharex=True, sharey=True)
    for ax, (kind, title) in zip(axes, KINDS.items(), strict=True):
        for part in PARTS:
            _points(ax, found, kind, part)
        # What is to the left of it is slower than what most people use.
        trainer = found[kind, "Trainer with a KD loss", "whole"].ratio
        ax.axvline(trainer, **style.MAJORITY, label="the Trainer, taken all in all")
        style.rows(ax, list(SYSTEMS))
        ax.set_yticks(range(len(names)), names)
        ax.set_title(title)
        ax.set_xscale("log")
        ax.set_xlim(*SPAN)
        style.logarithmic(ax.xaxis, *SPAN)
        ax.xaxis.set_minor_locator(NullLocator())
    style.label(axes, "times as fast as TextBrewer's README", "", 2)
    style.key(figure, *style.key_of(axes))
    figure.suptitle(said, fontsize=style.SMALL, x=0.01, ha="left")
    return settled(figure)


def _points(ax: "Axes", found: Speeds, kind: str, part: str) -> None:
    """One part's ratios, each with its number on the side where the other part is not."""
    title, sign = PARTS[part]
    side, align = (1, "left") if part == "training" else (-1, "right")
    ratios = [found[kind, system, part].ratio for system in SYSTEMS]
    places = [position - side * APART for position in range(len(SYSTEMS))]
    ax.plot(ratios, places, **{**POINT, **sign}, label=title)
    beside = {"textcoords": "offset points", "va": "center", "ha": align, "fontsize": style.SMALL}
    ground = {"facecolor": "white", "linewidth": 0, "pad": 0.5}  # the Trainer's line may be behind
    for ratio, place in zip(ratios, places, strict=True):
        ax.annotate(f"{ratio:.1f}", (ratio, place), (5 * side, 0), bbox=ground, **beside)


def main() -> None:
    """Write the figure and print the table."""
    files = read()
    found = speeds(files)
    write_whole(FIGURE, rendered(drawn(found, where(files)), FIGURE.suffix[1:]))
    print(f"{table(found)}\n\n{where(files)}\nwritten to {FIGURE.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
