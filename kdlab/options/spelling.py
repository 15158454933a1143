"""What somebody probably meant by a name that is not there."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

FEW = 12  # names that may be listed in one line
NEAREST = 3
# What others call these: Hugging Face's trainer and configurations, papers, other toolkits.
SYNONYMS = {
    "learning_rate": "lr",
    "num_epochs": "epochs",
    "num_train_epochs": "epochs",
    "max_epochs": "epochs",
    "bs": "batch_size",
    "train_batch_size": "batch_size",
    "per_device_train_batch_size": "batch_size",
    "wd": "weight_decay",
    "warmup_ratio": "warmup",
    "warmup_proportion": "warmup",
    "max_grad_norm": "clip",
    "grad_clip": "clip",
    "scheduler": "schedule",
    "lr_scheduler": "schedule",
    "lr_scheduler_type": "schedule",
    "num_layers": "layers",
    "num_hidden_layers": "layers",
    "depth": "layers",
    "hidden_size": "hidden",
    "width": "hidden",
    "num_heads": "heads",
    "num_attention_heads": "heads",
    "intermediate_size": "intermediate",
    "max_seq_length": "max_length",
    "max_len": "max_length",
    "num_labels": "classes",
    "random_seed": "seed",
    "output_dir": "root",
    "num_threads": "threads",
    "temp": "temperature",
    "tau": "temperature",
    "dataset": "task",
    "loss": "knowledge",
    "student": "size",
    "model": "size",
}


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """Names that look like a word, the nearest first; else those of which it is a part."""
    names = list(dict.fromkeys(known))
    alike = get_close_matches(word, names, NEAREST, cutoff=0.6)
    return alike or [name for name in names if word in name.split("_")][:NEAREST]


def suggestion(word: str, known: Sequence[str], where: str) -> str:
    """What there is in place of a name: those like it, or all if few, or `where` all are listed."""
    if near := nearest(word, known):
        return f"did you mean {either(near)}?"
    if len(known) <= FEW:
        return f"allowed: {', '.join(known)}"
    return f"{where} lists all {len(known)}"


def key_meant(key: str, known: Iterable[str]) -> str | None:
    """The sentence that asks whether one of the known keys was meant; None where none is near.

    In order: the key by the name that others call it, the same last part elsewhere, a misspelt last
    part in the same place, a key that looks like it as a whole.
    """
    names = list(known)
    parent, _, last = key.rpartition(".")
    last = SYNONYMS.get(last, last)
    renamed = f"{parent}.{last}" if parent else last
    near = [renamed] if renamed in names else []
    near = near or [name for name in names if name.rpartition(".")[2] == last][:NEAREST]
    if not near and parent:
        siblings = [name for name in names if name.rpartition(".")[0] == parent]
        leaves = {name.rpartition(".")[2]: name for name in siblings}
        near = [leaves[leaf] for leaf in get_close_matches(last, leaves, NEAREST, cutoff=0.6)]
    near = near or get_close_matches(renamed, names, NEAREST, cutoff=0.75)
    return f"did you mean {either(f'{name}=...' for name in near)}?" if near else None


def either(names: Iterable[str]) -> str:
    """Names as a choice: a, b or c."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
