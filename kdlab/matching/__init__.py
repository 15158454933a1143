"""Which student layer is compared with which teacher layer.

A matching is a function

    (student_layers, teacher_layers, random, *, knobs) -> [(student layer, teacher layer), ...]

of depths alone, 1-based, so that it can be checked before any work. `random` is a
`random.Random` of the run's own stream. The objective spreads a total weight of one over the
pairs (`mass: one`), or one for each student layer that is in them (`mass: layers`), or gives each
pair a weight of one (`mass: pairs`).

A matching may weigh its pairs anew in every step: its YAML's `weigh` names a module

    Module(students, teachers, seed, *, knobs)(inputs) -> weights [S, T], or [b, S, T] by row

of total one, over the S student and T teacher layers that occur in the pairs; `mass: layers` makes
that S, as papers have it that add up the losses of the student's layers. With `mix: losses`
the term is the weighted sum of its losses on pairs; with `mix: features` each student layer meets
the weighted mean of the teacher's views. What a module must remember is in its buffers, so that a
stopped run goes on exactly.
"""
