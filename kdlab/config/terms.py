"""Knowledge options become terms: a loss, what it compares, and which layers meet.

A composed config has under `knowledge.KEY` one node for each selected option, as its YAML file
says and overrides changed it. `selected` picks the nodes that count; `term` turns one of them
into a `Term`, with every question that depends on the two architectures decided.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Literal

from kdlab.config.option_files import option
from kdlab.encoders.architecture import Architecture
from kdlab.errors import BadInput, NotApplicable
from kdlab.options import callables
from kdlab.options.callables import Call
from kdlab.options.function_keys import Bare, MatchingKeys, Named, TermKeys
from kdlab.options.schema import Config, Node, Task, task_kind
from kdlab.run import Matching, Projection, Term
from kdlab.streams import stream

RESERVED = {"hard", "select"}  # the task's loss and the score, beside the terms in a record

Pairs = Sequence[tuple[int, int]]


def selected(config: Config, task: Task, overrides: Sequence[str]) -> dict[str, Node]:
    """The nodes of the selected terms, by key in alphabetical order.

    `knowledge=none` selects nothing. `logits` stands for another option, according to the task.

    Args:
        config: the composed configuration.
        task: decides between the options that `logits` stands for.
        overrides: of the command line, to tell a user's keys from a recipe's.

    Raises:
        BadInput: a key that means something else, or `none` beside others.
    """
    nodes = dict(config.knowledge)
    if reserved := nodes.keys() & RESERVED:
        raise BadInput(f"knowledge: {', '.join(reserved)} names something else already")
    if "none" in nodes:
        others = [
            key
            for key in sorted(nodes)
            if key != "none" and not _is_leftover(key, nodes[key], overrides)
        ]
        if others:
            raise BadInput(f"knowledge: none cannot be combined with {', '.join(others)}")
        return {}
    for key, node in config.knowledge.items():
        if isinstance(node, Mapping) and node.get("name") == "logits":
            name = _logits_option(key, node, task, nodes)
            # The weight is the one knob that `logits` shares with what it stands for.
            stands_for = option("knowledge", name) | {"weight": nodes.pop(key)["weight"]}
            nodes[name if key == "logits" else key] = stands_for
    return dict(sorted(nodes.items()))


def _is_leftover(key: str, node: Any, overrides: Sequence[str]) -> bool:
    """Whether a node is knobs that a recipe sets for its own term, which `none` took away.

    Such a node has no `name`, which the option's file would have given, and no override of the
    user's speaks of it.
    """
    is_users = any(f"knowledge.{key}" in text for text in overrides)
    return isinstance(node, Mapping) and "name" not in node and not is_users


def _logits_option(key: str, node: Mapping[str, Any], task: Task, nodes: Mapping[str, Any]) -> str:
    """The option that `knowledge=logits` stands for: one for classes, one for numbers."""
    name: str = node["regression" if task.kind == "regression" else "classification"]
    if extra := set(node) - {"name", "regression", "classification", "weight"}:
        what = f"it stands for {name}; select that to set {', '.join(sorted(extra))}"
        raise BadInput(f"knowledge.{key}: {what}")
    if name in nodes:
        raise BadInput(f"knowledge.{key}: {name} is selected twice")
    return name


def term(config: Config, key: str, node: Any, student: Architecture, teacher: Architecture) -> Term:
    """The term that a node of `knowledge` describes, for these two architectures.

    Raises:
        BadInput: naming the key that cannot be.
        NotApplicable: the option is right, and cannot go with this task or these architectures.
    """
    where = f"knowledge.{key}"
    if not isinstance(node, Mapping) or "name" not in node:
        raise BadInput(
            f"{where}: a knob for a term that is not selected; "
            f"add {key} to knowledge=[...], or drop it with ~{where}"
        )
    loss, keys = callables.call(node, TermKeys, where, "student", "teacher", "mask")
    takes = _layers_of(keys.view)
    callables.check_signature(keys.view, ("trace", *([takes] if takes else [])), f"{where}.view")
    classes = config.task.get("classes")  # None: of a language model, whose vocabulary is large
    if classes is not None and keys.min_classes > classes:
        is_regression = task_kind(config.task) == "regression"
        what = "a regression task" if is_regression else f"a task of {classes} classes"
        raise NotApplicable(f"{where}: {keys.name} cannot apply to {what}")
    if loss.knobs.get("relation_heads", 0) is None:
        # null means the teacher's own heads. The number is written out, so that the uid of a run
        # is the same whether its user wrote null or that number.
        loss = replace(loss, knobs={**loss.knobs, "relation_heads": teacher.heads})
    projection = _projection(keys, where, takes, classes, (student.hidden, teacher.hidden))
    if keys.matching and not takes:
        raise BadInput(f"{where}.matching: {keys.name} compares no layers")
    is_stacked = takes == "layers"
    depths = (student.layers, teacher.layers)
    rule = keys.matching or config.matching
    return Term(
        key=key,
        name=keys.name,
        loss=loss,
        view=keys.view,
        weight=keys.weight,
        matching=_matching(rule, where, is_stacked, config.seed, depths) if takes else None,
        projection_rule=keys.projection,
        projection=projection,
        schedules=schedules(keys.schedules, loss, where),
    )


@cache
def _layers_of(view: str) -> Literal["layer", "layers"] | None:
    """What a view takes beside a trace: a `layer`, all matched `layers` at once, or neither."""
    parameters = inspect.signature(callables.function(view)).parameters
    if "layers" in parameters:
        return "layers"
    return "layer" if "layer" in parameters else None


def _projection(
    keys: TermKeys,
    where: str,
    takes: str | None,
    classes: int | None,
    widths: tuple[int, int],
) -> Projection | None:
    """What the rule of an option comes to; None where nothing is learned.

    Args:
        keys: of the term; `projection` is the rule.
        where: the node's place in the config, for messages.
        takes: what the view takes beside a trace, as in `_layers_of`.
        classes: of the task; None of a language model.
        widths: of the student's and of the teacher's hidden states.
    """
    rule, key = keys.projection, f"{where}.projection={keys.projection}"
    if rule == "none":
        if keys.projection_shared or keys.projection_lr:
            what = f"{keys.name} has projection: none"
            raise BadInput(f"{where}.projection_shared, projection_lr: {what}")
        return None
    if takes == "layers":
        raise BadInput(f"{key}: {keys.name} compares all matched layers at once, as they are")
    if rule == "classes" and takes != "layer":
        raise BadInput(f"{key}: for layers that are compared one by one")
    if rule == "classes" and classes is None:
        raise NotApplicable(f"{key}: a text has no classes")
    student, teacher = widths
    if rule == "auto" and student == teacher:
        return None
    return Projection(
        width=classes if rule == "classes" and classes else teacher,
        to_classes=rule == "classes",
        shared=keys.projection_shared or takes is None,
        lr=keys.projection_lr,
    )


def _matching(
    node: Node, term: str, is_stacked: bool, seed: int, depths: tuple[int, int]
) -> Matching:
    """Which layers of a term meet, and with which weights.

    Args:
        node: of the matching: the config's, or the term's own.
        term: the term's place in the config, for messages.
        is_stacked: the term compares all matched layers at once.
        seed: of the run, for a matching that draws.
        depths: layers of the student and of the teacher.
    """
    takes = ("student_layers", "teacher_layers", "random")
    rule, keys = callables.call(node, MatchingKeys, "matching", *takes)
    where = f"matching={keys.name}"
    with callables.calling(where, rule):
        pairs = rule.bind()(*depths, stream(seed, "matching"))
        _check_pairs(pairs, depths, rule.target)
        weigh = _weigh(keys, pairs)
    if not pairs:
        raise NotApplicable(f"{where}: {term} compares layers and needs a matching")
    if is_stacked and (weigh or keys.mix == "features"):
        raise NotApplicable(f"{where}: {term} compares all matched layers at once")
    layers = len({layer for layer, _ in pairs})
    mass = float({"one": 1, "layers": layers, "pairs": len(pairs)}[keys.mass])
    # Where each student layer meets one teacher layer there is no mixture: to mix features is then
    # the same as to mix losses, and has the same uid.
    is_one_to_one = not weigh and layers == len(pairs)
    return Matching(
        pairs=tuple(sorted(pairs)),
        pair_weight=mass if weigh else mass / len(pairs),  # a module's weights add up to one
        mix="losses" if is_one_to_one else keys.mix,
        weigh=weigh,
        stacked=is_stacked,
    )


def _check_pairs(pairs: Any, depths: tuple[int, int], target: str) -> None:
    """Refuse what is no list of pairs of layers: a user's own rule may give anything."""
    is_right = isinstance(pairs, list) and all(
        isinstance(pair, tuple)
        and [type(layer) for layer in pair] == [int, int]
        and all(1 <= layer <= depth for layer, depth in zip(pair, depths, strict=True))
        for pair in pairs
    )
    if not is_right:
        raise BadInput(
            f"{target} gives {pairs!r:.80}: a matching gives a list of pairs (student layer, "
            "teacher layer), counted from 1"
        )


def _weigh(keys: MatchingKeys, pairs: Pairs) -> Call | None:
    """The module that weighs the pairs of a matching in every step; None: none does."""
    if keys.weigh is None:
        return None
    if "_target_" not in keys.weigh:
        raise BadInput(f"it does not weigh: matching.weigh has {', '.join(keys.weigh)} alone")
    if keys.mass == "pairs":
        raise BadInput("it weighs its pairs; matching.mass: one, or layers for one a student layer")
    weigh = callables.call(keys.weigh, Bare, "matching.weigh", "students", "teachers", "seed")[0]
    # Made once here, because a module may refuse so many layers: better now than in the queue.
    students, teachers = (len({pair[side] for pair in pairs}) for side in (0, 1))
    weigh.bind()(students, teachers, 0)
    return weigh


def schedules(nodes: Mapping[str, Node], loss: Call | None, where: str) -> dict[str, Call]:
    """The schedules of a weight and of a loss's numeric knobs.

    Args:
        nodes: of schedules, by the number that each changes.
        loss: whose knobs may change; None: only a weight may.
        where: the place of the term in the config, for messages.

    Raises:
        BadInput: there is no such number, or it would take a value that its knob may not have.
    """
    knobs = loss.knobs if loss else {}
    numbers = {knob: value for knob, value in knobs.items() if type(value) in (int, float)}
    calls = {}
    for key, node in sorted(nodes.items()):
        if key not in ("weight", *numbers):
            known = ", ".join(["weight", *sorted(numbers)])
            raise BadInput(f"{where}.schedules.{key}: no such number; known: {known}")
        calls[key], _ = callables.call(node, Named, f"{where}.schedules.{key}", "progress")
        # Start, middle and end stand for the whole of training; the end itself is never reached.
        for progress in (0.0, 0.5, 1.0 - 1e-6) if key in numbers else ():
            assert loss  # whose number it is
            value = numbers[key] * calls[key].bind()(progress)
            callables.check(loss.target, key, value, f"{where}.{key} at {progress:.0%} of training")
    return calls
