"""What others see of a process that trains."""

import os
import time

import pytest

from kdlab.storage import life_signs
from kdlab.storage.life_signs import LifeSign


@pytest.fixture
def clock(monkeypatch):
    """A clock that only this test moves, in seconds."""
    now = [100.0]
    monkeypatch.setattr(life_signs.time, "monotonic", lambda: now[0])
    return now


def test_a_sign_is_given_every_few_seconds_and_gone_at_the_end(tmp_path, clock):
    with life_signs.telling(tmp_path, "sst2 seed 1", ["a", "b"], 40, 100) as tell:
        clock[0] += 4
        tell(44)
        assert life_signs.read(tmp_path) == []
        clock[0] += 4
        tell(56)
        # Sixteen steps in the eight seconds of this process; another had made forty.
        assert life_signs.read(tmp_path) == [LifeSign("sst2 seed 1", ("a", "b"), 56, 100, 2.0)]
        clock[0] += 1
        tell(60)
        assert life_signs.read(tmp_path)[0].step == 56
    assert life_signs.read(tmp_path) == []


def test_a_cohort_that_ends_in_an_error_leaves_no_sign(tmp_path, clock):
    def cohort():
        with life_signs.telling(tmp_path, "sst2 seed 1", ["a"], 0, 9) as tell:
            clock[0] += 6
            tell(1)
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        cohort()
    assert list((tmp_path / life_signs.FOLDER).iterdir()) == []


def test_what_is_old_or_damaged_is_no_sign(tmp_path, clock):
    with life_signs.telling(tmp_path, "sst2 seed 1", ["a"], 0, 9) as tell:
        clock[0] += 6
        tell(1)
        (path,) = (tmp_path / life_signs.FOLDER).iterdir()
        path.with_name("torn.json").write_text('{"what": "x"')
        path.with_name("other.json").write_text('{"what": "x"}')
        assert len(life_signs.read(tmp_path)) == 1
        long_ago = time.time() - life_signs.OLD - 1
        os.utime(path, (long_ago, long_ago))
        assert life_signs.read(tmp_path) == []
