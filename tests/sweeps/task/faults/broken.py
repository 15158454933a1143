"""Losses that take their run, or its process, with them."""

import ctypes
import os
import signal

import torch


def raises(student, teacher, mask, **knobs):
    raise KeyError("broken")


def segfaults(student, teacher, mask, **knobs):
    ctypes.string_at(0)


def is_killed(student, teacher, mask, **knobs):
    os.kill(os.getpid(), signal.SIGKILL)


def has_no_memory(student, teacher, mask, **knobs):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")


def has_no_disk(student, teacher, mask, **knobs):
    raise OSError(28, "No space left on device")


def has_no_device(student, teacher, mask, **knobs):
    raise RuntimeError("CUDA error: an illegal memory access was encountered")
