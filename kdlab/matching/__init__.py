"""Which student layer is compared with which teacher layer.

A matching is a function

    (student_layers, teacher_layers, random, *, knobs) -> [(student layer, teacher layer), ...]

of depths alone, 1-based, so that it can be checked before any work. `random` is a
`random.Random` of the run's own stream. For example `skip` of 3 and 12 layers is [(1, 4), (2, 8),
(3, 12)].

The pairs of a term have a total weight, its `mass`: one, spread evenly (`mass: one`); one for each
student layer that is in a pair (`mass: layers`); or one for each pair (`mass: pairs`).

A matching may weigh its pairs anew in every step. Its option's `weigh` then names a module

    Module(students, teachers, seed, *, knobs)(inputs) -> weights [S, T], or [b, S, T] by row

over the S student and T teacher layers that occur in the pairs, of total one; `mass: layers`
multiplies them by S, for papers that add up the losses of the student's layers. With `mix: losses`
the term is the weighted sum of the losses of all pairs; with `mix: features` each student layer is
compared with the weighted mean of the teacher's layers. Whatever a module must remember between
steps is in its buffers, so that a stopped run goes on exactly.
"""
