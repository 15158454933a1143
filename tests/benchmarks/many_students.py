"""Ways to train many small students on one GPU: how many updates of a student a second.

    python tests/benchmarks/many_students.py [--device cpu --seconds 1 --students 1 2] [--out FILE]

The student is Hugging Face's BERT with random weights; the loss is that of labels and of stored
logits of a teacher, the batch has 32 rows of 32 tokens, dropout is on, gradients are clipped, and
AdamW is fused.

- in turn: one student after the other, each operation launched by itself
- graphs: every student's update is a CUDA graph, each replayed on a stream of its own
- stacked: equal students as one model with a dimension more (torch.func.vmap over their parameters)
- stacked, graph: that as a CUDA graph
- compiled: torch.compile of the student's forward pass, one after the other
- processes: as many processes, each with one student, at once
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SIZES = {
    "2x128": (2, 128, 2),
    "3x384": (3, 384, 12),
    "3x768": (3, 768, 12),
    "6x768": (6, 768, 12),
}
ROWS, TOKENS, WORDS, CLASSES = 32, 32, 4000, 2
Step = Callable[[], None]


def student(size: str, device: str, attention: str = "sdpa") -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    layers, width, heads = SIZES[size]
    config = BertConfig(
        vocab_size=WORDS, num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads,
        intermediate_size=4 * width, num_labels=CLASSES, attn_implementation=attention,
    )  # fmt: skip
    return BertForSequenceClassification(config).to(device).train()


def batch(device: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Token ids, an additive mask that hides a quarter of them, labels, a teacher's logits."""
    ids = torch.randint(5, WORDS, (ROWS, TOKENS), device=device)
    mask = torch.zeros(ROWS, 1, TOKENS, TOKENS, device=device)
    mask[: ROWS // 2, ..., TOKENS // 2 :] = torch.finfo(torch.float32).min
    labels = torch.randint(CLASSES, (ROWS,), device=device)
    return ids, mask, labels, torch.randn(ROWS, CLASSES, device=device)


def loss_of(logits: Tensor, labels: Tensor, of_teacher: Tensor) -> Tensor:
    logits = logits.float()
    kl = functional.kl_div(
        (logits / 2).log_softmax(-1), (of_teacher / 2).softmax(-1), reduction="batchmean"
    )
    return functional.cross_entropy(logits, labels) + 4 * kl


def adamw(parameters: list[Tensor], device: str) -> torch.optim.Optimizer:
    rate: Any = torch.tensor(1e-4, device=device) if device == "cuda" else 1e-4
    return torch.optim.AdamW(parameters, lr=rate, fused=True, capturable=device == "cuda")


def plain_step(model: nn.Module, data: Any, device: str, bf16: bool) -> Step:
    ids, mask, labels, of_teacher = data
    optimizer = adamw(list(model.parameters()), device)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            logits = model(input_ids=ids, attention_mask=mask).logits
        loss_of(logits, labels, of_teacher).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def in_turn(models: list[nn.Module], data: Any, device: str, bf16: bool) -> Step:
    steps = [plain_step(model, data, device, bf16) for model in models]
    return lambda: [step() for step in steps] and None


def compiled(models: list[nn.Module], data: Any, device: str, bf16: bool) -> Step:
    torch._dynamo.reset()
    return in_turn([torch.compile(model) for model in models], data, device, bf16)


def recorded(step: Step, stream: Any) -> Step:
    """A step as a CUDA graph, after three that warm up."""
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):
        graph.capture_begin()
        step()
        graph.capture_end()

    def replay() -> None:
        with torch.cuda.stream(stream):
            graph.replay()

    return replay


def graphs(models: list[nn.Module], data: Any, device: str, bf16: bool) -> Step:
    streams = [torch.cuda.Stream() for _ in models]
    steps = [
        recorded(plain_step(m, data, device, bf16), s) for m, s in zip(models, streams, strict=True)
    ]

    def step() -> None:
        here = torch.cuda.current_stream()
        for each, stream in zip(steps, streams, strict=True):
            stream.wait_stream(here)
            each()
        for stream in streams:
            here.wait_stream(stream)

    return step


def stacked(models: list[nn.Module], data: Any, device: str, bf16: bool) -> Step:
    from torch.func import functional_call, stack_module_state

    ids, mask, labels, of_teacher = data
    parameters, buffers = stack_module_state(models)
    template = models[0]
    optimizer = adamw(list(parameters.values()), device)

    def one(of_student: Any, its_buffers: Any) -> Tensor:
        inputs = {"input_ids": ids, "attention_mask": mask}
        logits = functional_call(template, (of_student, its_buffers), kwargs=inputs).logits
        return loss_of(logits, labels, of_teacher)

    of_all = torch.func.vmap(one, randomness="different")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            losses = of_all(parameters, buffers)
        losses.sum().backward()
        # Each student by its own norm.
        gradients = [p.grad for p in parameters.values() if p.grad is not None]
        norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
        share = (1.0 / (norms + 1e-6)).clamp(max=1.0)
        for gradient in gradients:
            gradient *= share.view(-1, *[1] * (gradient.ndim - 1))
        optimizer.step()

    return step


def stacked_graph(models: list[nn.Module], data: Any, device: str, bf16: bool) -> Step:
    return recorded(stacked(models, data, device, bf16), torch.cuda.Stream())


WAYS = {
    "in turn": in_turn,
    "graphs": graphs,
    "stacked": stacked,
    "stacked, graph": stacked_graph,
    "compiled": compiled,
}


def rate(step: Step, students: int, device: str, seconds: float) -> float:
    """Updates of a student a second, the best of three stretches."""
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    for _ in range(3):
        step()
    wait()
    rates = []
    for _ in range(3):
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < seconds / 3:
            for _ in range(5):
                step()
            wait()
            steps += 5
        rates.append(students * steps / (time.perf_counter() - began))
    return max(rates)


def measured(way: str, size: str, students: int, bf16: bool, given: Any) -> dict[str, Any]:
    told = {"way": way, "size": size, "students": students, "bf16": bf16}
    if given.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    try:
        torch.manual_seed(1)
        # PyTorch's own attention fails under vmap on a GPU (2.11: "LSE is not correctly aligned").
        attention = "eager" if way.startswith("stacked") else "sdpa"
        models = [student(size, given.device, attention) for _ in range(students)]
        step = WAYS[way](models, batch(given.device), given.device, bf16)
        step()
        told["prepared"] = round(time.perf_counter() - began, 2)
        told["rate"] = round(rate(step, students, given.device, given.seconds), 1)
        if given.device == "cuda":
            told["memory_mb"] = round(torch.cuda.max_memory_allocated() / 1e6)
    except Exception as error:  # one way that fails is a result, and the others go on
        told["error"] = f"{type(error).__name__}: {str(error)[:300]}"
    return told


def processes(size: str, number: int, bf16: bool, given: Any) -> dict[str, Any]:
    """The rates of processes that train at once, summed up."""
    command = [sys.executable, __file__, "--device", given.device, "--seconds", str(given.seconds)]
    command += ["--sizes", size, "--students", "1", "--ways", "in turn", "--wait-for-line"]
    command += ["--precisions", "bf16" if bf16 else "fp32"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, **pipes) for _ in range(number)]
    rates = []
    for process in running:
        process.stdout.readline()  # it is ready
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        rates.append(json.loads(process.communicate()[0].splitlines()[-1])["rate"])
    told = {"way": "processes", "size": size, "students": number, "bf16": bf16}
    return told | {"rate": round(sum(rates), 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--students", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--processes", type=int, nargs="*", default=[])
    parser.add_argument("--out", help="a JSON file for the results")
    parser.add_argument("--wait-for-line", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.wait_for_line:
        student(given.sizes[0], given.device)
        print("ready", flush=True)
        sys.stdin.readline()
    results = []
    for size in given.sizes:
        for precision in given.precisions:
            bf16 = precision == "bf16"
            for number in given.students:
                for way in given.ways:
                    if given.device == "cpu" and "graph" in way:
                        continue  # there are none
                    results.append(measured(way, size, number, bf16, given))
                    print(json.dumps(results[-1]), flush=True)
            for number in given.processes:
                results.append(processes(size, number, bf16, given))
                print(json.dumps(results[-1]), flush=True)
    if given.out:
        device = torch.cuda.get_device_name() if given.device == "cuda" else "cpu"
        told = {"device": device, "torch": torch.__version__, "results": results}
        with open(given.out, "w") as file:
            json.dump(told, file, indent=1)


if __name__ == "__main__":
    main()
