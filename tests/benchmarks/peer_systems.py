"""What others distil with, given one of kdlab's runs: TextBrewer, and a Trainer with a KD loss."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    get_linear_schedule_with_warmup,
)

from kdlab.data.task_data import TaskData, task_data
from kdlab.data.tokens import Encoded
from kdlab.models import origins
from kdlab.models.student import build_student
from kdlab.run import Run

TEMPERATURE, CLIP = 2.0, 1.0
# By kdlab's knowledge: TextBrewer's feature, and its loss. Its nst divides by the padded length
# where kdlab and the Trainer here divide by the width: scores differ there, the work does not.
MATCHES = {
    "cls_pkd": ("hidden", "pkd"),
    "hidden_mse": ("hidden", "hidden_mse"),
    "attention_mse": ("attention", "attention_mse"),
    "token_gram": ("hidden", "nst"),
}


class Rows(Dataset[dict[str, Any]]):
    """Tokenised rows as PyTorch's dataset, padded to 128 or not yet."""

    def __init__(self, data: Encoded, length: int | None) -> None:
        self.data, self.length = data, length
        rows = range(len(data.labels))
        self.ids = [data.row("input_ids", number).tolist() for number in rows]

    def __len__(self) -> int:
        return len(self.data.labels)

    def __getitem__(self, number: int) -> dict[str, Any]:
        ids = self.ids[number]
        row = {"input_ids": ids, "attention_mask": [1] * len(ids)}
        if self.length:
            padding = [0] * (self.length - len(ids))
            row = {name: torch.tensor(values + padding) for name, values in row.items()}
        return {**row, "labels": torch.tensor(int(self.data.labels[number]))}


def models(run: Run, task: TaskData, root: str, device: str) -> tuple[Any, Any]:
    """The student at step 0 and the teacher, as plain Hugging Face models."""
    kind = "eager" if has_attention(intermediate_matches(run)) else "sdpa"
    ours = build_student(run, task.tokenizer, root)
    ours.config._attn_implementation = kind  # the class's own attention in the place of kdlab's
    student = AutoModelForSequenceClassification.from_config(ours.config)
    student.load_state_dict(ours.state_dict())
    folder = origins.folder(run.teachers[0], root)
    teacher = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation=kind)
    return student.to(device), teacher.eval().requires_grad_(False).to(device)


def accuracy(student: nn.Module, data: Encoded, device: str) -> float:
    """The share of rows that are right, 64 at a time."""
    student.eval()
    hits = 0
    with torch.inference_mode():
        for batch in DataLoader(Rows(data, 128), batch_size=64):
            labels = batch.pop("labels")
            inputs = {name: tensor.to(device) for name, tensor in batch.items()}
            hits += int((student(**inputs).logits.argmax(-1).cpu() == labels).sum())
    return hits / len(data.labels)


@contextlib.contextmanager
def precision(device: str, bf16: bool) -> Iterator[None]:
    """Mixed precision around a whole training.

    Without PyTorch's cache of weights in bf16, which would outlive the step that changes them.
    """
    with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16, cache_enabled=False):
        yield


def timed(
    run: Run, root: str, device: str, train: Callable[[Any, Any, TaskData], nn.Module]
) -> dict[str, float]:
    """Seconds of the training and of everything, and the score on the dev rows."""
    began = time.perf_counter()
    task = task_data(run, False)
    student, teacher = models(run, task, root, device)
    started = time.perf_counter()
    trained = train(student, teacher, task)
    if device == "cuda":
        torch.cuda.synchronize()
    training = time.perf_counter() - started
    score = accuracy(trained, task.scored["report"], device)
    whole = time.perf_counter() - began
    updates = len(task.batches)
    return {"training": training, "whole": whole, "score": score, "updates": updates}


def textbrewer(
    run: Run,
    root: str,
    device: str,
    folder: str,
    padding: str = "longest",
    bf16: bool = False,
    cached: bool = False,
) -> dict[str, float]:
    """TextBrewer's GeneralDistiller; where only logits are matched, its cache of the teacher's."""
    from textbrewer import BasicDistiller, DistillationConfig, GeneralDistiller, TrainingConfig

    matches = intermediate_matches(run)
    use_cache = cached and not matches
    see = {"output_hidden_states": True, "output_attentions": has_attention(matches)}

    def adaptor(batch: Mapping[str, Tensor], outputs: Any) -> dict[str, Any]:
        seen = {"logits": outputs.logits, "losses": outputs.loss}
        if matches:
            seen |= {"hidden": outputs.hidden_states, "attention": outputs.attentions}
            seen |= {"inputs_mask": batch["attention_mask"]}
        return seen

    def train(student: Any, teacher: Any, task: TaskData) -> nn.Module:
        pad = DataCollatorWithPadding(task.tokenizer)
        is_padded = padding == "max_length"
        collate = (
            None if is_padded else lambda rows: dict(pad(rows))
        )  # TextBrewer takes dicts alone
        rows = Rows(task.training, 128 if is_padded else None)
        loader = DataLoader(rows, batch_size=32, shuffle=True, collate_fn=collate)
        optimizer = torch.optim.AdamW(student.parameters(), lr=run.train.lr)
        updates = len(loader)
        settings = DistillationConfig(
            temperature=TEMPERATURE, intermediate_matches=matches, is_caching_logits=use_cache
        )
        distiller = (BasicDistiller if use_cache else GeneralDistiller)(
            TrainingConfig(device=device, output_dir=folder),
            *(settings, teacher, student, adaptor, adaptor),
        )
        warmup = {"num_warmup_steps": updates // 10, "num_training_steps": updates}
        with precision(device, bf16), distiller:
            distiller.train(
                optimizer, loader, num_epochs=1, max_grad_norm=CLIP,
                scheduler_class=get_linear_schedule_with_warmup, scheduler_args=warmup,
                **(see if matches else {}),
            )  # fmt: skip
        return student

    return timed(run, root, device, train)


def has_attention(matches: list[dict[str, Any]]) -> bool:
    """Whether attention is matched, which must then be asked for."""
    return any(match["feature"] == "attention" for match in matches)


def intermediate_matches(run: Run) -> list[dict[str, Any]]:
    """The run's pairs of layers in TextBrewer's form; state 0 is the embeddings there."""
    matches = []
    for term in run.terms:
        if term.matching:
            feature, loss = MATCHES[term.name]
            first = feature == "attention"  # attention has none of embeddings: it counts from 0
            for s, t in term.matching.pairs:
                layers = {"layer_S": s - first, "layer_T": t - first}
                if loss == "nst":  # products of two layers' states: of one twice
                    layers = {name: [layer, layer] for name, layer in layers.items()}
                matches.append(layers | {"feature": feature, "loss": loss, "weight": term.weight})
    return matches


class DistillationTrainer(Trainer):
    """Hugging Face's Trainer with the loss that its users write: the teacher in every step."""

    def __init__(
        self, *args: Any, teacher: Any, matches: list[dict[str, Any]], **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self.teacher, self.matches = teacher, matches

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
        see: dict[str, Any] = {}
        if self.matches:
            see = {"output_hidden_states": True, "output_attentions": has_attention(self.matches)}
        student = model(**inputs, **see)
        with torch.no_grad():
            teacher = self.teacher(**inputs, **see)
        student_logs = functional.log_softmax(student.logits / TEMPERATURE, -1)
        teacher_probabilities = functional.softmax(teacher.logits / TEMPERATURE, -1)
        loss = functional.kl_div(student_logs, teacher_probabilities, reduction="batchmean")
        loss = student.loss + TEMPERATURE**2 * loss
        for match in self.matches:
            loss = loss + match["weight"] * match_loss(match, student, teacher)
        return (loss, student) if return_outputs else loss


def match_loss(match: Mapping[str, Any], student: Any, teacher: Any) -> Tensor:
    """The squared error of one pair of layers: of states, of normalised [CLS] states, of attention
    probabilities, or of the products of a row's token states.
    """
    name = "attentions" if match["feature"] == "attention" else "hidden_states"
    layers = match["layer_S"], match["layer_T"]
    if match["loss"] == "nst":
        layers = layers[0][0], layers[1][0]
    compared = getattr(student, name)[layers[0]], getattr(teacher, name)[layers[1]]
    if match["loss"] == "pkd":
        compared = tuple(functional.normalize(states[:, 0], dim=-1) for states in compared)
    if match["loss"] == "nst":
        compared = tuple(x @ x.transpose(1, 2) / x.shape[-1] for x in compared)
    return functional.mse_loss(*compared)


def trainer(run: Run, root: str, device: str, folder: str, bf16: bool = False) -> dict[str, float]:
    """Hugging Face's Trainer, with padding to the longest row of a batch."""

    def train(student: Any, teacher: Any, task: TaskData) -> nn.Module:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=32, num_train_epochs=1, bf16=bf16,
            learning_rate=run.train.lr, warmup_steps=0.1, max_grad_norm=CLIP, save_strategy="no",
            report_to=[], use_cpu=device == "cpu", disable_tqdm=True, logging_strategy="no",
        )  # fmt: skip
        DistillationTrainer(
            model=student, args=arguments, train_dataset=Rows(task.training, None),
            data_collator=DataCollatorWithPadding(task.tokenizer),
            teacher=teacher, matches=intermediate_matches(run),
        ).train()  # fmt: skip
        return student

    return timed(run, root, device, train)
