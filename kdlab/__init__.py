"""kdlab: ablation studies of knowledge distillation in transformer language models.

    run = kdlab.compose("task=sst2", "teacher=minilm_l6", "size=l3_h384", "seed=3")
    record = kdlab.distill(run, root="runs", save=True)
    student = kdlab.load(run, root="runs")

Importing kdlab loads no torch; the first call that needs it does.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdlab.cohort import distill as distill
    from kdlab.config.compose import compose as compose
    from kdlab.loading import load as load
    from kdlab.storage.ledger import records as records

__version__ = "0.1.0"
__all__ = ["compose", "distill", "load", "records"]

_HOMES = {
    "compose": "config.compose",
    "distill": "cohort",
    "load": "loading",
    "records": "storage.ledger",
}


def __getattr__(name: str) -> Any:
    # No module of the package is called like one of these functions: importing it would hide them.
    if name not in _HOMES:
        raise AttributeError(f"module 'kdlab' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"kdlab.{_HOMES[name]}"), name)
