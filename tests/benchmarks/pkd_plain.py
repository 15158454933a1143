"""PKD-Skip as a plain loop of PyTorch and transformers: is kdlab's cell what anyone would get?

    python tests/benchmarks/pkd_plain.py --checkpoint MPNET --teacher FOLDER --lr 1e-4 --beta 100

It shares with kdlab the teacher's files (those of a run under ROOT/models) and which rows are
trained on; students, batches, losses, optimiser, schedule and scoring are written out here. Rows
come shuffled, not in batches of like length. CoLA, the first layers of the checkpoint, KL and
patience of PKD's code (Sun et al. 2019, arXiv 1908.09355), BertAdam. Prints Matthews' correlation
on dev for each seed, and as JSON.
"""

import argparse
import json
import math
import statistics

import torch
from sklearn.metrics import matthews_corrcoef
from torch.nn import functional
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import kdlab
from kdlab.data import splits

ALPHA, TEMPERATURE, BATCH, WARMUP, DECAY, CLIP = 0.5, 10.0, 32, 0.1, 0.01, 1.0


def rows(count: int) -> dict[str, list[tuple[str, int]]]:
    """CoLA's sentences with labels: kdlab's training rows, and dev."""
    run = kdlab.compose(
        "task=cola", f"data.rows={count}", "teacher=none", "knowledge=none", "size=l2_h64_a4"
    )
    parts, labelled, _ = splits.everything(run.task, run.source.bind()(), run.protocol, run.data)
    chosen = {"train": labelled, "dev": parts["report"]}
    return {
        name: [(text[0], int(label)) for text, label in zip(part.texts, part.labels, strict=True)]
        for name, part in chosen.items()
    }


def skip(student_layers: int, teacher_layers: int) -> list[tuple[int, int]]:
    """Student layer i with every (T / S)-th teacher layer, the last student layer left out."""
    every = teacher_layers // student_layers
    return [(layer, layer * every) for layer in range(1, student_layers)]


def loss(student, teacher, batch, labels, beta, pairs):
    """(1 - alpha) CE + alpha KL T² / classes + beta patience, as in PKD's code."""
    ours = student(**batch, output_hidden_states=True)
    with torch.no_grad():
        theirs = teacher(**batch, output_hidden_states=True)
    hard = functional.cross_entropy(ours.logits, labels)
    log_q = functional.log_softmax(ours.logits / TEMPERATURE, -1)
    log_p = functional.log_softmax(theirs.logits / TEMPERATURE, -1)
    soft = (
        functional.kl_div(log_q, log_p, log_target=True, reduction="none").mean() * TEMPERATURE**2
    )
    patience = 0.0
    for ours_at, theirs_at in pairs:
        a = functional.normalize(ours.hidden_states[ours_at][:, 0], dim=-1)
        b = functional.normalize(theirs.hidden_states[theirs_at][:, 0], dim=-1)
        patience = patience + functional.mse_loss(a, b) / len(pairs)
    return (1 - ALPHA) * hard + ALPHA * soft + beta * patience


class BertAdam:
    """Adam without bias correction, decay beside the gradient, each tensor's gradient clipped."""

    def __init__(self, model, lr):
        self.lr, self.state = lr, []
        for name, parameter in model.named_parameters():
            decay = 0.0 if name.endswith("bias") or "LayerNorm" in name else DECAY
            zeros = torch.zeros_like(parameter)
            self.state.append((parameter, decay, zeros, zeros.clone()))

    @torch.no_grad()
    def step(self, share):
        for parameter, decay, first, second in self.state:
            if parameter.grad is None:
                continue
            gradient = parameter.grad
            gradient.mul_(min(1.0, CLIP / (float(gradient.norm()) + 1e-6)))
            first.mul_(0.9).add_(gradient, alpha=0.1)
            second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            update = first / (second.sqrt() + 1e-6) + decay * parameter
            parameter.sub_(self.lr * share * update)
            parameter.grad = None


def train(given, data, seed):
    """One student; its predictions' Matthews correlation on dev."""
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(given.checkpoint)
    teacher = AutoModelForSequenceClassification.from_pretrained(given.teacher).eval()
    student = AutoModelForSequenceClassification.from_pretrained(
        given.checkpoint,
        num_hidden_layers=given.layers,
        dtype=torch.float32,
        use_safetensors=True,
    ).train()
    pairs = skip(given.layers, teacher.config.num_hidden_layers)
    optimizer = BertAdam(student, given.lr)
    epoch = math.ceil(len(data["train"]) / BATCH)
    steps, step = epoch * given.epochs, 0
    for _ in range(given.epochs):
        order = torch.randperm(len(data["train"])).tolist()
        for start in range(0, len(order), BATCH):
            texts, labels = zip(
                *(data["train"][i] for i in order[start : start + BATCH]), strict=True
            )
            batch = tokenizer(list(texts), padding=True, return_tensors="pt")
            loss(student, teacher, batch, torch.tensor(labels), given.beta, pairs).backward()
            warmup = int(WARMUP * steps)
            share = step / warmup if step < warmup else (steps - step) / (steps - warmup)
            optimizer.step(share)
            step += 1
    student.eval()
    predicted = []
    with torch.no_grad():
        for start in range(0, len(data["dev"]), BATCH):
            texts = [text for text, _ in data["dev"][start : start + BATCH]]
            batch = tokenizer(texts, padding=True, return_tensors="pt")
            predicted += student(**batch).logits.argmax(-1).tolist()
    return float(matthews_corrcoef([label for _, label in data["dev"]], predicted))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--beta", type=float, required=True)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    given = parser.parse_args()
    data, scores = rows(given.rows), {}
    for seed in given.seeds:
        scores[seed] = train(given, data, seed)
        print(f"seed {seed}: {100 * scores[seed]:.1f}", flush=True)
    values = [100 * score for score in scores.values()]
    spread = statistics.stdev(values) if len(values) > 1 else math.nan
    print(f"{statistics.mean(values):.1f} ± {spread:.1f}")
    print(json.dumps({"lr": given.lr, "beta": given.beta, "matthews": scores}))


if __name__ == "__main__":
    main()
