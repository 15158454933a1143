"""Knowledge options become terms: a loss, what it looks at, and which layers meet."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kdlab.architecture import Architecture
from kdlab.errors import BadInput, Misfit, NotApplicable
from kdlab.options import callables
from kdlab.options.callables import Call
from kdlab.options.schema import Bare, MatchingKeys, Named, Node, Page, Task, TermKeys
from kdlab.run import Term, layers_of
from kdlab.streams import stream

RESERVED = {"hard", "select"}  # the task's loss and the score, beside the terms in a record

Option = Callable[[str, str], Node]


def selected(page: Page, task: Task, overrides: Sequence[str], option: Option) -> dict[str, Node]:
    """The terms by key, `logits` replaced by what it stands for, in a fixed order."""
    nodes = dict(page.knowledge)
    if reserved := nodes.keys() & RESERVED:
        raise BadInput(f"knowledge: {', '.join(reserved)} names something else already")
    if "none" in nodes:
        others = [
            key
            for key in sorted(nodes)
            if key != "none" and not _is_recipes(key, nodes[key], overrides)
        ]
        if others:
            raise BadInput(f"knowledge: none cannot be combined with {', '.join(others)}")
        return {}
    for key, node in page.knowledge.items():
        if isinstance(node, Mapping) and node.get("name") == "logits":
            name = node["regression" if task.classes == 1 else "classification"]
            extra = set(node) - {"name", "regression", "classification", "weight"}
            if extra or name in nodes:
                what = f"it stands for {name}; select that to set {', '.join(sorted(extra))}"
                raise BadInput(f"knowledge.{key}: {what if extra else f'{name} is selected twice'}")
            new_key = name if key == "logits" else key
            nodes[new_key] = option("knowledge", name) | {"weight": nodes.pop(key)["weight"]}
    return dict(sorted(nodes.items()))


def _is_recipes(key: str, node: Any, overrides: Sequence[str]) -> bool:
    """Whether a node is a recipe's knobs for a term that is not selected any more."""
    asked = any(f"knowledge.{key}" in text for text in overrides)
    return isinstance(node, Mapping) and "name" not in node and not asked


def term(
    page: Page, key: str, node: Any, student: Architecture, teacher: Architecture | None
) -> Term:
    """The term of a knowledge node, its matching included.

    Raises:
        BadInput: naming the key that cannot be.
    """
    where = f"knowledge.{key}"
    if not isinstance(node, Mapping) or "name" not in node:
        raise BadInput(
            f"{where}: a knob for a term that is not selected; "
            f"add {key} to knowledge=[...], or drop it with ~{where}"
        )
    loss, keys = callables.call(node, TermKeys, where, "student", "teacher", "mask")
    layered = layers_of(keys.view)
    callables.check_signature(
        keys.view, ("trace", *([layered] if layered else [])), f"{where}.view"
    )
    classes = page.task.get("classes")  # a vocabulary is large enough
    if classes is not None and keys.min_classes > classes:
        what = "a regression task" if classes == 1 else f"a task of {classes} classes"
        raise NotApplicable(f"{where}: {keys.name} cannot apply to {what}")
    assert teacher is not None  # a page with terms has one
    if loss.knobs.get("relation_heads", 0) is None:  # null: the teacher's own heads
        loss = replace(loss, knobs={**loss.knobs, "relation_heads": teacher.heads})
    learned = keys.projection in ("always", "classes") or (
        keys.projection == "auto" and student.hidden != teacher.hidden
    )
    if keys.projection == "none" and (keys.projection_shared or keys.projection_lr):
        raise BadInput(f"{where}.projection_shared, projection_lr: {key} has projection: none")
    found = Term(
        key=key,
        name=keys.name,
        loss=loss,
        view=keys.view,
        weight=keys.weight,
        projection=keys.projection,
        pairs=None,
        pair_weight=1.0,
        shared=keys.projection_shared and learned,
        projection_lr=keys.projection_lr if learned else None,
        mix="losses",
        weigh=None,
        schedules=schedules(keys.schedules, loss, where),
    )
    if keys.projection != "none" and layered == "layers":
        what = f"{keys.name} compares all matched layers at once, as they are"
        raise BadInput(f"{where}.projection={keys.projection}: {what}")
    if keys.projection == "classes" and layered != "layer":
        raise BadInput(f"{where}.projection=classes: for layers that are compared one by one")
    if keys.projection == "classes" and classes is None:
        raise NotApplicable(f"{where}.projection=classes: a text has no classes")
    if layered:
        return _matched(found, keys.matching or page.matching, page.seed, student, teacher)
    if keys.matching:
        raise BadInput(f"{where}.matching: {keys.name} compares no layers")
    return found


def _matched(
    term: Term, node: Node, seed: int, student: Architecture, teacher: Architecture
) -> Term:
    """The term with the pairs of a matching, and what weighs them."""
    takes = ("student_layers", "teacher_layers", "random")
    rule, keys = callables.call(node, MatchingKeys, "matching", *takes)
    where = f"matching={keys.name}"
    try:
        with callables.naming_mistakes(where, rule.target):
            pairs = rule.bind()(student.layers, teacher.layers, stream(seed, "matching"))
        _check_pairs(pairs, student, teacher, rule.target)
        weigh = _weigh(keys, pairs)
    except Misfit as error:
        raise refusal(rule)(f"{where}: {error}") from None
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
    if not pairs:
        raise NotApplicable(f"{where}: knowledge.{term.key} compares layers and needs a matching")
    mixed = weigh or keys.mix == "features"
    if mixed and layers_of(term.view) == "layers":
        raise NotApplicable(f"{where}: knowledge.{term.key} compares all matched layers at once")
    layers = len({layer for layer, _ in pairs})
    total = float({"one": 1, "layers": layers, "pairs": len(pairs)}[keys.mass])
    weight = total if weigh else total / len(pairs)  # what weighs gives weights of total one
    alone = not weigh and layers == len(pairs)
    mix = "losses" if alone else keys.mix  # of one layer there is no mixture
    return replace(term, pairs=tuple(sorted(pairs)), pair_weight=weight, mix=mix, weigh=weigh)


def _check_pairs(pairs: Any, student: Architecture, teacher: Architecture, target: str) -> None:
    """Refuse a rule of one's own that gives no pairs of layers."""
    is_right = isinstance(pairs, list) and all(
        isinstance(pair, tuple)
        and [type(layer) for layer in pair] == [int, int]
        and 1 <= pair[0] <= student.layers
        and 1 <= pair[1] <= teacher.layers
        for pair in pairs
    )
    if not is_right:
        raise BadInput(
            f"{target} gives {pairs!r:.80}: a matching gives a list of pairs (student layer, "
            "teacher layer), counted from 1"
        )


def _weigh(keys: MatchingKeys, pairs: Sequence[tuple[int, int]]) -> Call | None:
    """What weighs the pairs of a matching, tried on so many layers; None: nothing does."""
    if keys.weigh is None:
        return None
    if "_target_" not in keys.weigh:
        raise BadInput(f"it does not weigh: matching.weigh has {', '.join(keys.weigh)} alone")
    if keys.mass == "pairs":
        raise BadInput("it weighs its pairs; matching.mass: one, or layers for one a student layer")
    weigh = callables.call(keys.weigh, Bare, "matching.weigh", "students", "teachers", "seed")[0]
    students, teachers = (len({pair[side] for pair in pairs}) for side in (0, 1))
    weigh.bind()(students, teachers, 0)
    return weigh


def refusal(call: Call) -> type[BadInput]:
    """How a function's refusal of dimensions is refused.

    Other dimensions would do, unless somebody wrote a list of layers: that is wrong by itself.
    """
    is_written = any(isinstance(value, list) for value in call.knobs.values())
    return BadInput if is_written else NotApplicable


def schedules(nodes: Mapping[str, Node], loss: Call | None, where: str) -> dict[str, Call]:
    """The schedules of a weight and of a loss's numeric knobs, checked along the way."""
    knobs = loss.knobs if loss else {}
    numbers = {knob: value for knob, value in knobs.items() if type(value) in (int, float)}
    found = {}
    for key, node in sorted(nodes.items()):
        if key not in ("weight", *numbers):
            known = ", ".join(["weight", *sorted(numbers)])
            raise BadInput(f"{where}.schedules.{key}: no such number; known: {known}")
        found[key], _ = callables.call(node, Named, f"{where}.schedules.{key}", "progress")
        for progress in (0.0, 0.5, 1.0 - 1e-6) if key in numbers else ():
            assert loss is not None
            value = numbers[key] * found[key].bind()(progress)
            callables.check(loss.target, key, value, f"{where}.{key} at {progress:.0%} of training")
    return found
