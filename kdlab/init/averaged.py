"""Inits that average layers."""

import torch

from kdlab.encoders import families, layers
from kdlab.encoders.architecture import Architecture
from kdlab.init import tensors
from kdlab.init.tensors import Weights


def average(weights: Weights, student: Architecture, source: Architecture) -> Weights:
    """Embeddings, and for each student layer the mean of a block of consecutive source layers.

    The blocks are those of `kdlab.encoders.layers.blocks`: every source layer is in one, and their
    sizes differ by one at most. Bae et al. 2024, arXiv 2410.20672, average the layers that they
    tie, which are not consecutive.
    """
    block_ends = tensors.chosen_layers("skip", student, source)
    tensors.check_equal(student, source, "family", "hidden", "heads", "intermediate")
    blocks = layers.blocks(student.layers, source.layers)
    # Every layer of a block must be of the kind of the student layer that it is averaged into. They
    # are checked as lists of one layer a block; a block with fewer begins again.
    for nth in range(max(map(len, blocks))):
        families.check_layers(student.family, [block[nth % len(block)] for block in blocks])
    averaged = tensors.select_layers(weights, block_ends)  # a layer of each block, to be replaced
    for name in averaged:
        position = tensors.layer_of(name)
        if position is not None:
            block = [weights[tensors.in_layer(name, layer - 1)] for layer in blocks[position]]
            averaged[name] = torch.stack(block).mean(0)
    return averaged
