"""Records made by hand that hold what figures draw: scores, cost, curves, shares."""

import json
from pathlib import Path

import numpy as np
from made import ROWS, outputs

from analysis.read import frame
from kdlab import metrics
from kdlab.record import Record
from kdlab.storage import example_outputs, ledger
from sweeps.plan import plan
from sweeps.study import reading

POINTS = 4  # evaluations


def launch(root: Path, name: str, text: str) -> list:
    """A study that is planned; its entries."""
    path = root / f"{name}.yaml"
    path.write_text(text)
    loaded = reading.load(str(path))
    planned = plan.plan(loaded)
    plan.write(planned, {}, name, loaded, str(root))
    return planned


def leave(
    root: Path, uid: str, right: int, *, terms=(), cost=None, is_old=False, is_constant=False
) -> None:
    """A run of which so many of `ROWS` rows are right; an old one has no curves and no shares.

    One that is constant gives all rows of select one prediction at its first evaluation.
    """
    labels = np.random.default_rng(0).integers(2, size=ROWS).astype(float)
    found = outputs(labels, right)
    digest = example_outputs.write_examples(root, np.arange(ROWS), labels)
    score = {"accuracy": metrics.accuracy(labels, found)}
    result = {
        "status": "done",
        "steps": 100,
        "scored_step": 100,
        "scores": {"select": score, "report": score},
        "degenerate": [],
        "examples": {"select": digest, "report": digest},
    }
    if not is_old:
        names = ["hard", *terms]
        result["curves"] = {
            **{name: [(i + 1) * right / ROWS / k for k in range(1, POINTS + 1)]
               for i, name in enumerate(names)},
            "select": [right / ROWS * k / POINTS for k in range(1, POINTS + 1)],
        }  # fmt: skip
        result["select_degenerate"] = [is_constant, *[False] * (POINTS - 1)]
        hard = right / ROWS if terms else 1.0
        rest = {name: (1 - hard) / len(terms) for name in terms}
        result["shares"] = {point: {"hard": hard, **rest} for point in ("0.1", "0.5", "0.9")}
    address = example_outputs.write_outputs(root, {"select": found, "report": found})
    ledger.append(root, Record(uid, {}, [], result, cost or {}, {"outputs": address}))


def cost_of(layers: float, hidden: float, latency: float | None) -> dict:
    """What a model of such a shape costs, as records say it."""
    transformer = int(12 * layers * hidden**2 + 13 * layers * hidden)
    counted = {"transformer": transformer, "embeddings": int(600 * hidden)}
    counted["total"] = sum(counted.values())
    timed = {} if latency is None else {"latency": latency}
    return {"parameters": counted, "flops": 256 * transformer, **timed}


def fill(
    root: Path,
    name: str,
    right,
    *,
    latency=lambda layers, hidden: layers * hidden / 100,
    constant=lambda row: False,
):
    """Records of all runs of a planned study: `right(row of the frame)` rows right, None: none."""
    runs = frame.runs(name, str(root))
    planned = runs[runs["state"] != "excluded"].drop_duplicates("uid")
    for row in planned.to_dict("records"):
        is_teacher = row["seed"] == frame.NO_SEED
        count = right(row)
        if count is None:
            continue
        named = [] if is_teacher else json.loads(row["overrides"])
        own = next((o.split("=", 1)[1] for o in named if o.startswith("knowledge=")), "none")
        terms = [term for term in own.strip("[]").split(",") if term != "none"]
        layers, hidden = (6, 128) if is_teacher else (row["layers"], row["hidden"])
        time = latency(layers, hidden) if latency else None
        cost = cost_of(layers, hidden, time)
        told = {"is_old": latency is None, "is_constant": constant(row)}
        leave(root, row["uid"], count, terms=terms, cost=cost, **told)
    return frame.runs(name, str(root))
