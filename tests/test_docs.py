"""What the documentation says is there: its links, its commands and their options, its pages."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import yaml

from analysis.__main__ import _parser as analysis_parser
from kdlab.config.compose import composed, execution, register
from kdlab.config.option_files import CONF, names, searching
from kdlab.config.sizes import exact
from kdlab.options.parsing import parse
from sweeps.__main__ import _parser as sweeps_parser
from sweeps.study import folders, reading
from sweeps.study.layouts import Layout

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "AGENTS")]
    + [ROOT / folder / "README.md" for folder in ("sweeps", "analysis", "analysis/notebooks")]
    + [*DOCS.rglob("*.md"), *(ROOT / "analysis" / "results").glob("*.md")]
)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# A command of ours, perhaps with a variable before it, up to the end of its line.
COMMAND = re.compile(
    r"(?:\w+=\S+ )*(?:\S*/)?(python -m (?:kdlab|sweeps|analysis)|kdlab(?:-sweeps|-analysis)?) (.*)"
)
PARSERS = {"sweeps": sweeps_parser, "analysis": analysis_parser}
# What stands for something of the reader's: their own launcher, loss and studies.
READERS = {
    ("launcher", "mine"),
    ("knowledge", "hidden_absolute"),
    ("knowledge", "hidden_huber"),
}
STUDY = {"mine", "STUDY", "glue_small", "big", "huber"}
MISSING = "the following arguments are required"


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts and the site make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-") for text in plain}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    for target in re.findall(r"\]\(([^()\s]+)\)", FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_the_readme_is_a_front_door():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


def commands(page: Path) -> Iterator[tuple[str, str]]:
    """Every command of ours on a page: its package, and the rest of its line."""
    text = page.read_text()
    fences = [fence.replace("\\\n", " ") for fence in FENCE.findall(text)]
    lines = [line for fence in fences for line in fence.splitlines()[1:-1]]
    for line in [*lines, *re.findall(r"`([^`\n]+)`", FENCE.sub("", text))]:
        inner = re.sub(r'^eval "\$\((.*)\)"$', r"\1", line)
        for part in inner.split(" && "):
            if found := COMMAND.match(part.strip()):
                yield re.split("[ -]", found[1])[-1], found[2]


def of(package: str) -> dict[str, str]:
    """The commands of a package, each with a page that it is on; no mere patterns of one."""
    found = {
        shlex.join(shlex.split(rest, comments=True)): str(page.relative_to(ROOT))
        for page in PAGES
        for name, rest in commands(page)
        if name == package
    }
    return {
        command: page for command, page in found.items() if command and "COMMAND" not in command
    }


@pytest.mark.parametrize("package", PARSERS)
def test_every_command_names_a_subcommand_and_options_that_there_are(package, capsys):
    parser, known = (
        PARSERS[package](),
        {path.stem for path in folders.STUDIES.glob("*.yaml")} | STUDY,
    )
    assert len(of(package)) > 10
    for command, page in of(package).items():
        where = f"{page}: python -m {package} {command}"
        try:
            arguments, rest = parser.parse_known_args(shlex.split(command))
        except SystemExit as ended:
            said = capsys.readouterr().err
            if ended.code and MISSING not in said:  # 0: --help
                pytest.fail(f"{where}: {said}")
            continue
        overrides = [*rest, *getattr(arguments, "overrides", [])]
        assert not [word for word in rest if word.startswith("-")], where
        assert package == "sweeps" or not rest, where
        study = getattr(arguments, "study", None)
        assert study is None or study in known, where
        for override in overrides:
            assert unknown(override) is None, f"{where}: {unknown(override)}"


def unknown(override: str) -> str | None:
    """What an override of a group names that is not in conf/; None if all is there."""
    key, _, value = override.lstrip("+~").partition("=")
    group = key.partition("@")[0]
    if not (CONF / group).is_dir() or "<" in value or value.isupper():
        return None
    for name in re.findall(r"[^\[\],'\s]+", value):
        spelled = group == "size" and exact(name)
        if not spelled and name not in names(group) and (group, name) not in READERS:
            return f"{group}={name}"
    return None


# The menu has every knowledge and recipe; conf/hydra is Hydra's own.
@pytest.mark.parametrize(
    "group",
    sorted(
        {path.name for path in CONF.iterdir() if path.is_dir()} - {"knowledge", "recipe", "hydra"}
    ),
)
def test_every_option_is_in_the_reference(group):
    page = (DOCS / "reference" / "options.md").read_text()
    (row,) = re.findall(rf"^\| `{group}` \|.*$|^A {group} is (?:.*\n)+?\n", page, re.MULTILINE)
    said = set(re.findall(r"[\w.]+", row))
    assert {name for name in names(group) if not name.endswith("_flops")} <= said


FLAGS = {"-m", "--cfg", "--help", "--resolve", "--info", "--config-dir", "--hydra-help", "-sc"}


def runs() -> Iterator[list[str]]:
    """The overrides of runs on the pages, as many as have every key; of a sweep, of its first run.

    Composing one takes a tenth of a second and more.
    """
    seen = set()
    for command in sorted(of("kdlab"), key=len, reverse=True):
        words = [word for word in shlex.split(command) if "=" in word]
        given = [word for word in words if not word.startswith(("hydra.", "install="))]
        if keys := {word.partition("=")[0] for word in given} - seen:
            seen |= keys
            yield [word if "[" in word else word.partition(",")[0] for word in given]


def yamls(key: str) -> list[str]:
    """The YAML on all pages that has a key at its top."""
    found = [
        text
        for p in PAGES
        for text in re.findall(r"^```yaml\n(.*?)^```", p.read_text(), re.M | re.S)
    ]
    return [text for text in found if re.search(rf"^{key}:", text, re.M)]


def test_every_study_on_a_page_can_be_read_and_those_that_there_are_are_shown_as_they_are(tmp_path):
    there = {
        study.question: study for study in map(reading.load, ("quickstart", "quickstart_tune"))
    }
    studies = []
    for text in yamls("question"):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        study = reading.load(str(path))
        studies.append(study.question)
        if study.question in there:
            assert replace(study, name=there[study.question].name) == there[study.question]
    assert set(there) < set(studies)


def test_every_launcher_on_a_page_is_one(tmp_path):
    launchers = {
        name: text
        for page in PAGES
        for name, text in re.findall(
            r"^```yaml\n# conf/launcher/(\w+)\.yaml.*?\n(.*?)^```", page.read_text(), re.M | re.S
        )
    }
    assert {"mine", "a100", "h100_mig", "h100_shared"} <= launchers.keys()
    (tmp_path / "launcher").mkdir()
    for name, text in launchers.items():
        (tmp_path / "launcher" / f"{name}.yaml").write_text(text)
    with searching([tmp_path]):
        for name in launchers:
            chosen = execution(f"launcher={name}").launcher
            assert chosen["name"] == name
            assert "gpu" in chosen["gres"] or "shard" in chosen["gres"]


def test_every_layout_on_a_page_can_be_read():
    for text in yamls("rows"):
        assert parse(Layout, yaml.safe_load(text), "layout").rows


def test_every_import_on_a_page_is_of_something_that_is_there():
    text = "\n".join(page.read_text() for page in PAGES)
    found = re.findall(r"^from ((?:kdlab|sweeps|analysis)[\w.]*) import ([\w, ]+\w)", text, re.M)
    assert len(found) > 5
    for module, imported in found:
        path = ROOT / module.replace(".", "/")
        for name in imported.split(", "):
            if not (path / f"{name}.py").is_file() and not (path / name).is_dir():
                file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
                assert re.search(rf"\b{name}\b", file.read_text()), f"{module}.{name}"


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_option_in_passing_is_there(page):
    for span in re.findall(r"`([^`\n]+)`", FENCE.sub("", page.read_text())):
        for word in span.split():
            assert unknown(word.strip("\"'")) is None, span


def test_every_run_has_groups_options_and_keys_that_there_are():
    for command, page in of("kdlab").items():
        for word in shlex.split(command):
            assert not word.startswith("-") or word in FLAGS, f"{page}: {word}"
            assert unknown(word) is None, f"{page}: {unknown(word)}"
    mine = [f"{group}={name}" for group, name in READERS]
    for overrides in runs():
        overrides = [text for text in overrides if text not in mine]
        register(overrides)
        composed(overrides, resolve=False)  # refuses a key that is nowhere


def test_every_command_and_option_is_in_the_reference(capsys):
    page = (DOCS / "reference" / "commands.md").read_text()
    for package, parser in PARSERS.items():
        (subcommands,) = [a for a in parser()._actions if a.choices and not a.option_strings]
        for name, command in subcommands.choices.items():
            row = re.search(rf"^\| `python -m {package} {name}\b.*$", page, re.MULTILINE)
            assert row, name
            for action in command._actions:
                for option in action.option_strings:
                    everywhere = {"-h", "--help"} | ({"--root"} if package == "analysis" else set())
                    assert option in everywhere or option in row[0], f"{name} {option}"


class _Loader(yaml.SafeLoader):
    """Reads mkdocs.yml without making the function that it names."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def files(node: str | list | dict) -> Iterator[str]:
    """The files that a part of the menu names."""
    if isinstance(node, str):
        yield node
    else:
        for inner in node if isinstance(node, list) else node.values():
            yield from files(inner)


def test_every_page_is_in_the_sites_menu():
    menu = list(files(yaml.load((ROOT / "mkdocs.yml").read_text(), _Loader)["nav"]))
    assert {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} <= set(menu)
    assert len(menu) == len(set(menu))
