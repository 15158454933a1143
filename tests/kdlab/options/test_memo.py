"""What is remembered, for how long, and under which name."""

import pytest

from kdlab.options.memo import MOST, by_content, files_unchanged, of_files


def test_a_pure_function_is_asked_once_for_each_content():
    asked = []

    @by_content
    def double(value, *, times=2):
        asked.append(value)
        return [value] * times

    assert double(1) is double(1)
    assert [double(1.0), double(True), double("1"), double(1, times=1)]
    assert asked == [1, 1.0, True, "1", 1]
    assert [type(value) for value in asked] == [int, float, bool, str, int]


def test_errors_are_not_kept_and_room_is_limited():
    asked = []

    @by_content
    def half(value):
        asked.append(value)
        if value % 2:
            raise ValueError("odd")
        return value // 2

    for _ in range(2):
        with pytest.raises(ValueError, match="odd"):
            half(1)
    assert asked == [1, 1]
    assert [half(2 * n) for n in range(MOST + 1)] == list(range(MOST + 1))
    half(0)
    assert asked.count(0) == 2


def test_files_are_read_once_inside_and_every_time_outside(tmp_path):
    path = tmp_path / "file"

    @of_files
    def read(name):
        return (tmp_path / name).read_text()

    kept: dict = {}
    path.write_text("one")
    assert read("file") == "one"
    with files_unchanged(kept):
        assert read("file") == "one"
        path.write_text("two")
        assert read("file") == "one"
        with files_unchanged({}):
            assert read("file") == "two"
    assert read("file") == "two"
    with files_unchanged(kept):
        assert read("file") == "one"
