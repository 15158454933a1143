"""The keys of a study file, with their types: what the YAML in `sweeps/studies` may say.

Types and unknown keys are refused when a file is parsed; what contradicts itself, by
`sweeps.study.checks`.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from kdlab.options.schema import Count, Index, Text, strict

Overrides = list[str]
Values = Annotated[list[Any], Field(min_length=1)]
Seeds = Annotated[list[Index], Field(min_length=1)]
Teachers = Literal["one", "paired", "crossed"]
Rule = Literal["best_mean", "best_worst"]  # the keys of `sweeps.study.tuning.RULES`


@strict
@dataclass(frozen=True, kw_only=True)
class Tune:
    """Settings that are tried before the best of them are confirmed with other seeds.

    Trials are scored on the `select` split, which no table reports.

    Attributes:
        over: key to values, the same for every arm, with knowledge or without.
        seeds: of the trials.
        also: case to key to values, for keys that only some cases have.
        per: what a winner is chosen for: `case` and keys of grid or zip; null: all of these.
        trials: of an arm; of a larger product a balanced part (`study.trials`); null: all of it.
        rule: how a trial's scores over seeds become the number of which the largest wins.
        unequal: why some arms have more trials than others; tables print it.
    """

    over: Annotated[dict[str, Values], Field(min_length=1)]
    seeds: Seeds
    also: dict[str, dict[str, Values]] = field(default_factory=dict)
    per: list[str] | None = None
    trials: Count | None = None
    rule: Rule = "best_mean"
    unequal: Text | None = None


@strict
@dataclass(frozen=True, kw_only=True)
class Confirm:
    """The seeds with which a tuned block's winners are run."""

    seeds: Seeds


@strict
@dataclass(frozen=True, kw_only=True)
class Block:
    """Runs that feed one table: every case crossed with every combination of grid and zip.

    Attributes:
        table: the table that the block feeds.
        cases: row label to overrides; arms without knowledge are added by themselves.
        grid: key to values, every combination; the task becomes the table's column, other keys join
            the row label.
        zip: key to values, the first with the first and so on; crossed with the grid.
        control: the case that the others are compared with; null: each with its own arm
            without knowledge.
        controls: whether these arms are added; a multirun's runs are those that were asked for.
        base: overrides of every run of the block.
        settings: case to task to overrides, as a paper chose them; in a file also the name of a CSV
            (`sweeps.study.settings`), from the study's folder.
        seeds: instead of the study's.
        tune: settings to choose first; `confirm` then has the seeds.
        layout: a file of `sweeps/layouts`, or of the project's, by which its table is arranged;
            null: rows as the study labels them.
        teachers: instead of the study's, as are `teacher_seeds` and `teacher`.
    """

    table: Text
    cases: Annotated[dict[str, Overrides], Field(min_length=1)]
    grid: dict[str, Values] = field(default_factory=dict)
    zip: dict[str, Values] = field(default_factory=dict)
    control: Text | None = None
    controls: bool = True
    base: Overrides = field(default_factory=list)
    settings: dict[str, dict[str, Overrides]] = field(default_factory=dict)
    seeds: Seeds | None = None
    tune: Tune | None = None
    confirm: Confirm | None = None
    layout: Text | None = None
    teachers: Teachers | None = None
    teacher_seeds: Seeds | None = None
    teacher: Overrides | None = None

    @property
    def swept(self) -> list[str]:
        """The keys of the block's rows and columns."""
        return [*self.grid, *self.zip]


@strict
@dataclass(frozen=True, kw_only=True)
class Skip:
    """A rule that leaves runs out of a study.

    Attributes:
        name: by which `plan` counts what it leaves out.
        when: the overrides that a run must all have.
        reason: why; tables print it.
    """

    name: Text
    when: Annotated[Overrides, Field(min_length=1)]
    reason: Text


@strict
@dataclass(frozen=True, kw_only=True)
class Study:
    """A study file.

    Attributes:
        name: the file's.
        question: in a sentence; tables print it.
        blocks: of runs, each of which feeds one table.
        base: overrides of every run.
        skip: rules that leave runs out.
        seeds: of the blocks that have none of their own.
        teachers: `one` for all seeds, `paired` (a seed's own), or `crossed` with `teacher_seeds`.
        teacher_seeds: of crossed teachers.
        teacher: the teachers' own overrides, instead of those of the teacher's option.
    """

    name: Text
    question: Text
    blocks: Annotated[list[Block], Field(min_length=1)]
    seeds: Seeds | None = None
    base: Overrides = field(default_factory=list)
    skip: list[Skip] = field(default_factory=list)
    teachers: Teachers = "one"
    teacher_seeds: Seeds | None = None
    teacher: Overrides | None = None

    def teachers_of(self, block: Block) -> Teachers:
        """How a block's seeds are combined with its teachers' seeds."""
        return block.teachers or self.teachers
