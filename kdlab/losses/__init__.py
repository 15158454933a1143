"""Losses: functions `(student, teacher, mask, *, knobs) -> scalar` of tensors.

Every loss keeps this contract, unless its docstring says otherwise:

- it computes in float32, whatever comes in;
- it is the mean over the valid units of the batch, a unit being what the mask marks (a row, a
  token); the mean over no unit is zero;
- it does not change with padding, nor with the order of rows;
- it is zero where student and teacher are equal.

Knobs are keyword-only and have no default here: the YAML file of the option has their values.
Letters in shapes: b rows, t tokens, c classes, d width, h heads.
"""
