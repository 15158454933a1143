"""The keys of options whose YAML names a function, beside that function's own knobs.

Each class here is one kind of option; `kdlab.options.callables` checks the knobs against the
signature of the function that an option names.
"""

from dataclasses import field
from typing import Literal

from kdlab.options.schema import Count, Node, Positive, Text, strict_dataclass


@strict_dataclass
class TermKeys:
    """The keys of a knowledge option that are not knobs of its loss.

    Attributes:
        view: the function that takes from a forward pass what is compared.
        min_classes: of tasks that the option can apply to.
        projection: a learned map of the student's states: to the teacher's width where the widths
            differ (`auto`) or `always`, or to the `classes`.
        projection_shared: one map for all layers.
        projection_lr: its learning rate; None: the run's.
        matching: of this term; None: that of the config.
        schedules: of `weight` and of numeric knobs, by name.
    """

    name: Text
    view: Text
    weight: Positive
    min_classes: Count
    projection: Literal["none", "auto", "always", "classes"] = "none"
    projection_shared: bool = False
    projection_lr: Positive | None = None
    matching: Node | None = None
    schedules: dict[str, Node] = field(default_factory=dict)


@strict_dataclass
class MatchingKeys:
    """The keys of a matching that are not knobs of its rule.

    Attributes:
        mass: the total weight of all pairs: one, or the number of `pairs` or of student `layers`.
        mix: what weights are on where a student layer meets several: losses or features.
        weigh: the module that weighs the pairs in every step.
    """

    name: Text
    mass: Literal["one", "layers", "pairs"]
    mix: Literal["losses", "features"] = "losses"
    weigh: Node | None = None


@strict_dataclass
class InitKeys:
    """The keys of an init that are not knobs of its function.

    Attributes:
        weights: what is copied: nothing, a checkpoint, the teacher as it was pretrained or as it
            is, or an earlier run.
        run: the overrides of that run.
        head: a fresh classifier, or that of the run.
    """

    name: Text
    weights: Literal["none", "checkpoint", "pretrained", "finetuned", "run"]
    checkpoint: Text | None = None
    run: list[str] | None = None
    head: Literal["fresh", "keep"] = "fresh"


@strict_dataclass
class LauncherKeys:
    """The keys that every launcher has beside the knobs of its function.

    Attributes:
        cohort: students side by side in one process, at most.
        minutes: of work in one task (of a job array), by estimate.
        gflops: what a process computes in a second, for estimates before anything is measured.
        device_memory_gb: 10⁹ bytes of a task's GPU, or with `device=cpu` what its process may take;
            cohorts are made no larger than fits. None: it is not known, `cohort` alone counts.
    """

    name: Text
    cohort: Count
    minutes: Positive
    gflops: Positive
    device_memory_gb: Positive | None


@strict_dataclass
class Bare:
    """A node without keys beside its function's knobs: a matching's `weigh`."""


@strict_dataclass
class Named:
    """The keys of a shape or a schedule that are not knobs of its function."""

    name: Text


@strict_dataclass
class TrackerKeys:
    """The keys of a tracker that are not knobs of its function; it needs `package` installed."""

    name: Text
    package: Text | None = None
