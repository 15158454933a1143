"""What `launch --wait` says while it waits."""

from kdlab.storage.life_signs import LifeSign
from sweeps.submit.follow import Awaited, lines

# Ten runs of a hundred seconds each by estimate, and their teacher of four hundred.
RUNS = [f"run{n}" for n in range(10)]
AWAITED = Awaited(RUNS, dict.fromkeys(RUNS, 100.0) | {"teacher": 400.0}, {"teacher"})


def test_before_anything_is_at_work_only_the_count_is_known():
    assert lines(AWAITED, [], []) == ["0 of 10 runs"]
    assert lines(AWAITED, ["teacher", "run0", "other"], []) == ["1 of 10 runs"]


def test_a_teacher_is_told_as_what_others_wait_for():
    sign = LifeSign("sst2 seed 0, 1 side by side", ("teacher",), 300, 400, 1.0)
    # It takes as long as was thought: a hundred seconds more, and a thousand for the students.
    assert lines(AWAITED, [], [sign]) == [
        "0 of 10 runs, about 18 min left",
        "teacher or earlier run: sst2 seed 0, 1 side by side: 300 of 400 steps, 2 min left",
    ]


def test_what_is_left_goes_by_the_present_speed():
    """Two processes, each half as fast as was thought."""
    signs = [
        LifeSign(
            f"sst2 seed {n}, 2 side by side", (f"run{2 * n}", f"run{2 * n + 1}"), 50, 100, 0.25
        )
        for n in range(2)
    ]
    done = ["teacher", *RUNS[6:]]
    first, *others = lines(AWAITED, done, signs)
    # Six runs of 100 s less half of four of them: 400 s, here twice that, in two processes.
    assert first == "4 of 10 runs, about 7 min left"
    assert others[0] == "sst2 seed 0, 2 side by side: 50 of 100 steps, 3 min left"


def test_other_studies_are_not_told_and_many_cohorts_are_counted():
    other = LifeSign("rte seed 0", ("elsewhere",), 1, 2, 1.0)
    assert lines(AWAITED, [], [other]) == ["0 of 10 runs"]
    many = [LifeSign(uid, (uid,), 1, 2, 0.0) for uid in RUNS]
    told = lines(AWAITED, ["teacher"], many)
    assert len(told) == 1 + 8 + 1
    assert told[-1] == "2 more cohorts"
