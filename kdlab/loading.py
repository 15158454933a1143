"""Saved students and teachers, read back."""

import transformers
from torch import nn

from kdlab.config.compose import execution
from kdlab.errors import BadInput
from kdlab.models import checkpoints
from kdlab.models.saved_files import flaw, folder, recorded_weights
from kdlab.run import Run


def load(run: "Run | str", root: str | None = None) -> nn.Module:
    """A saved student or teacher, ready for inference.

    Args:
        run: a run or its uid.
        root: where it was saved; by default what conf/run.yaml says.

    Raises:
        BadInput: if no model of that run was saved there, or it is damaged.
    """
    root = root or execution().root
    uid = run if isinstance(run, str) else run.uid
    path = folder(root, uid)
    if not path.is_dir():
        raise BadInput(f"no saved model of run {uid} under {root}; distill it with save=True")
    if why := flaw(root, uid, recorded_weights(root, uid)):
        raise BadInput(f"{why}; distill run {uid} with save=True, which writes it anew")
    # The class that wrote the folder: AutoModel would leave the classifier out.
    (kind,) = checkpoints.config(str(path))["architectures"]
    return getattr(transformers, kind).from_pretrained(path, use_safetensors=True).eval()
