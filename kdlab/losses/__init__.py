"""Losses: functions `(student, teacher, mask, *, knobs) -> scalar` of tensors.

float32 whatever comes in; the mean over the valid units of the batch given, a unit being what the
mask marks (a row, a token); unchanged by padding and by the order of rows; zero at equality unless
the docstring says otherwise. A mean over no valid unit is zero. Knobs are keyword-only and have no
default here: the YAML of the option is their only home. Letters: b rows, t tokens, c classes,
d width, h heads.
"""
