"""What came of a student: its outputs, its result, what it cost, and its record.

`kdlab.cohort` calls these in their order, once the students of a cohort have been trained.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from kdlab import device
from kdlab.data.task_data import TaskData
from kdlab.models import costs, saving
from kdlab.models.teacher import outputs_order
from kdlab.options.schema import Execution
from kdlab.record import DIVERGED, Cost, Record, Result
from kdlab.storage import example_outputs, ledger, repeats
from kdlab.storage.durable import short_digest
from kdlab.tracking import provenance
from kdlab.training import resume, scoring, task_vocabulary, teaching, test_outputs
from kdlab.training.student_state import StudentState


def teacher_logits(
    teachers: teaching.Teachers, students: Sequence[StudentState]
) -> dict[str, np.ndarray]:
    """The teachers' logits [n, classes] on every scored split."""
    # Of a language model, a vocabulary of logits at every token is too much to keep.
    if teachers.run.task.is_language_model or not any(each.run.terms for each in students):
        return {}
    return {
        name: teaching.teacher_logits(teachers, data) for name, data in teachers.task.scored.items()
    }


def scored_outputs(student: StudentState, task: TaskData) -> dict[str, np.ndarray]:
    """The outputs of the student's scored weights on every scored split; none if it diverged."""
    if student.best:
        student.model.load_state_dict(student.best["weights"])
    task_vocabulary.expand(student, student.best["step"] if student.best else student.step)
    if student.status == DIVERGED:
        return {}
    return scoring.predict_splits(student.model, task.scored, student.device)


def result_of(
    student: StudentState,
    task: TaskData,
    outputs: Mapping[str, np.ndarray],
    teacher_logits: Mapping[str, np.ndarray],
) -> Result:
    """The deterministic part of the record; `write` adds the digests of the examples."""
    run = student.run
    result = Result(
        status=student.status,
        steps=student.step,
        examples_seen=sum(map(len, task.batches[: student.step])),
    )
    if not outputs:  # a diverged run has nothing to score
        return result
    result["scored_step"] = student.best["step"] if student.best else student.step
    result["scores"] = {
        name: scoring.scores(run.task, task.scored[name].labels, array)
        for name, array in outputs.items()
    }
    result["curves"] = student.history
    result["select_degenerate"] = student.degenerate
    result["shares"] = {
        point: dict(zip(student.losses, shares.tolist(), strict=True))
        for point, shares in student.gradient_shares.items()
    }
    result["agreement"] = {
        name: scoring.agreement(outputs[name], logits)
        for name, logits in teacher_logits.items()
        if run.terms
    }
    # A finished checkpoint may number the task's classes in another way.
    if run.terms and (order := outputs_order(run, task.names)):
        result["teacher_order"] = order
    result["degenerate"] = sorted(n for n in outputs if scoring.is_degenerate(run.task, outputs[n]))
    result["weights"] = saving.digest(student.model)
    result["outputs"] = {n: short_digest(array.tobytes()) for n, array in outputs.items()}
    return result


def cost_of(
    student: StudentState, teacher_seconds: float, cohort: int, on: torch.device, root: str
) -> Cost:
    """What the run took, and where it was computed."""
    return Cost(
        parameters=costs.parameters(student.model),
        flops=costs.inference_flops(student.run.student),
        seconds=round(student.clock.seconds(), 3),
        teacher_seconds=round(teacher_seconds, 3),
        cohort=cohort,
        peak_memory=device.peak_memory(on),
        latency=costs.latency(student.model, student.run.student, root),
        latency_tokens=costs.FLOP_TOKENS,
        **provenance.provenance(on),  # type: ignore[typeddict-item]
    )


def write(
    student: StudentState,
    task: TaskData,
    result: Result,
    cost: Cost,
    outputs: Mapping[str, np.ndarray],
    execution: Execution,
    recorded: Sequence[ledger.Entry],
) -> Record:
    """Write outputs, model and record, in this order: a record means that the rest is there.

    A run that was recorded before is recorded again only where that adds something: another
    result, or outputs that the earlier record lacks.
    """
    run, root = student.run, execution.root
    result["examples"] = {
        name: example_outputs.write_examples(root, task.ids[name], task.scored[name].labels)
        for name in outputs
        if name in task.scored
    }
    if execution.save and outputs:
        saving.save(student.model, task.tokenizer, root, run.uid)
    # No artifacts yet: outputs are appended only if the record turns out to be worth writing.
    written = Record(run.uid, dict(run.choices), list(run.overrides), result, cost, {})
    earlier = ledger.best(root, recorded) if recorded else None
    # An equal repeat adds a line only for outputs that the earlier record lacks.
    if earlier and (kind := repeats.kind(earlier, written)) != repeats.EQUAL:
        print(f"run {run.uid}: {repeats.SAID[kind]}; both are kept", file=sys.stderr)
    elif earlier and outputs.keys() <= set(example_outputs.kept(root, earlier)):
        written = earlier
    if written is not earlier:
        written = replace(written, artifacts=test_outputs.artifacts(root, task, outputs))
        ledger.append(root, written)
    resume.forget(root, run.uid)
    return written
