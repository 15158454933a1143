"""The root is said in one way everywhere, and in one more where overrides are."""

import sys

import pytest

from kdlab.config.overrides import root, with_root
from sweeps import __main__ as command
from sweeps import commands


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--root", "/a", "seed=1"], ["root='/a'", "seed=1"]),
        (["seed=1", "--root=/a,b c"], ["seed=1", "root='/a,b c'"]),
        (["root=/a", "-m"], ["root=/a", "-m"]),
    ],
)
def test_a_flag_is_the_override(words, expected):
    assert with_root(words) == expected


@pytest.mark.parametrize("name", ["plan", "launch"])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--root", "/a b"], ("/a b", ["root='/a b'"])),
        (["root=/a"], ("/a", ["root=/a"])),
        (["size=tiny"], ("/of/the/shell", ["size=tiny"])),
    ],
)
def test_plan_and_launch_look_where_they_are_told(name, words, expected, monkeypatch):
    monkeypatch.setenv("KDLAB_ROOT", "/of/the/shell")
    monkeypatch.setattr(sys, "argv", ["sweeps", name, "quickstart", *words])
    given = {}
    monkeypatch.setattr(commands, f"{name}_study", lambda **options: given.update(options))
    with pytest.raises(SystemExit):
        command.main()
    assert (given["root"], given["overrides"]) == expected
    assert root(given["overrides"]) in (given["root"], None)


def test_two_roots_contradict_each_other(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sweeps", "plan", "quickstart", "root=/a", "--root", "/b"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    assert "root=/a and root='/b' contradict each other" in capsys.readouterr().err
