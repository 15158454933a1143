"""What somebody probably meant by a name that is not there."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

FEW = 12  # names that may be listed in one line
NEAREST = 3
# A key, and what others call it: Hugging Face's trainer and configurations, papers, other toolkits.
OTHER_NAMES = {
    "lr": "learning_rate",
    "epochs": "num_epochs num_train_epochs max_epochs",
    "batch_size": "bs train_batch_size per_device_train_batch_size",
    "weight_decay": "wd",
    "warmup": "warmup_ratio warmup_proportion",
    "clip": "max_grad_norm grad_clip",
    "schedule": "scheduler lr_scheduler lr_scheduler_type",
    "layers": "num_layers num_hidden_layers depth",
    "hidden": "hidden_size width",
    "heads": "num_heads num_attention_heads",
    "intermediate": "intermediate_size",
    "max_length": "max_seq_length max_len",
    "classes": "num_labels",
    "seed": "random_seed",
    "root": "output_dir",
    "threads": "num_threads",
    "temperature": "temp tau",
    "task": "dataset",
    "knowledge": "loss",
    "size": "student model",
}
SYNONYMS = {other: key for key, others in OTHER_NAMES.items() for other in others.split()}


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
