"""Which student layer is compared with which teacher layer.

A matching is a function

    (student_layers, teacher_layers, random, *, knobs) -> [(student layer, teacher layer), ...]

of depths alone, 1-based, so that it can be checked before any work. `random` is a
`random.Random` of the run's own stream. The objective spreads a total weight of one over the
pairs (`mass: one`) or gives each pair a weight of one (`mass: pairs`).
"""
