"""Pages drawn at random over all groups: most are allowed, many are not."""

from pathlib import Path
from random import Random

import eight_classes

from kdlab.config.option_files import options
from kdlab.encoders.families import FAMILIES

TEACHER, LAYERS = "l4_h32_a4", 4
WIDE = "size=l3_h32_a4"


def write(folder: Path) -> None:
    """The rows of the tasks: eight classes, a number, and a text."""
    eight_classes.write(folder)
    text = "\n".join(f"w{i % 7} w{i % 5} w{i % 3} w{i % 11}" for i in range(400))
    (folder / "text.txt").write_text(text)


def tasks(folder: Path) -> list[list[str]]:
    """Two classes, eight, a number, masked words."""
    table = ["task=table", f"task.path={folder}", "task.text=[sentence]", "task.max_length=12"]
    number = ["task.classes=1", "task.metrics=[pearson]", "task.label=idx"]
    return [
        ["task.train_rows=60", "task.report_rows=20", "task.words=8", "protocol.select=0.2"],
        [*table, "task.classes=8"],
        [*table, *number],
        ["task=corpus", f"task.path={folder}/text.txt", "task.words=8", "task.report_rows=32",
         "task.max_length=12"],
    ]  # fmt: skip


def page(random: Random, folder: Path) -> list[str]:
    """One page: two steps of a tiny student."""
    return [
        "threads=1", "data.rows=16", "train.batch_size=8", "train.epochs=1", "train.lr=1e-3",
        "protocol.evaluations=1", "teacher.rows=16", "teacher.epochs=1", "teacher.lr=1e-3",
        *random.choices(tasks(folder), [3, 4, 2, 2])[0],
        *_teacher(random), *_student(random), *_knowledge(random), *_matching(random),
        *_init(random), *_rest(random),
    ]  # fmt: skip


def _maybe(random: Random, share: float, *texts: str) -> list[str]:
    return [random.choice(texts)] if random.random() < share else []


def _teacher(random: Random) -> list[str]:
    family = random.choice(["bert"] * 6 + sorted(FAMILIES))
    return [
        f"teacher.size={TEACHER}", f"teacher.family={family}",
        *_maybe(random, 0.1, "teacher.folds=2", "teacher.stop=0.5",
                "teacher.assistants=[l3_h32_a4]", "teacher=none"),
    ]  # fmt: skip


def _student(random: Random) -> list[str]:
    size = random.choice([
        WIDE, WIDE, "size=l2_h16_a2", "size=l3_h24_a4", "size=l1_h32_a4", "size=l4_h32_a2",
        "size=l2_h32_a4", WIDE, "size=l2_h16_a2", "size=l5_h32_a4",
    ])  # fmt: skip
    shapes = [f"shape={name}" for name in options("shape") if name != "standard"]
    return [
        size,
        *_maybe(random, 0.15, *(f"family={name}" for name in FAMILIES)),
        *(
            [random.choice(shapes), "shape.head_width=8", "shape.tolerance=0.2"]
            if random.random() < 0.15
            else []
        ),
    ]


def _knowledge(random: Random) -> list[str]:
    names = random.sample(options("knowledge"), random.choice([1, 1, 2]))
    name = names[0]
    key = f"knowledge.{name}"
    schedule = random.choice(options("schedule"))
    return [
        f"knowledge=[{','.join(names)}]",
        *_maybe(random, 0.15, *(f"++{key}.projection={p}" for p in ("none", "auto", "always",
                                                                     "classes"))),
        *_maybe(random, 0.1, f"++{key}.projection_shared=true", f"++{key}.projection_lr=1e-2"),
        *_maybe(random, 0.1, f"+schedule@{key}.schedules.weight={schedule}",
                f"+schedule@{key}.schedules.temperature={schedule}",
                f"+schedule@{key}.schedules.k={schedule}",
                f"+schedule@hard.schedules.weight={schedule}"),
        *_maybe(random, 0.1, f"+matching@{key}.matching={random.choice(options('matching'))}"),
        *_maybe(random, 0.08, f"{key}.temperature=4", f"{key}.k=2", f"{key}.k=9",
                f"{key}.relation_heads=2", f"{key}.relation_heads=3", f"{key}.normalize=false"),
        *_maybe(random, 0.1, "hard.weight=0", "hard.weight=0.3"),
    ]  # fmt: skip


def _matching(random: Random) -> list[str]:
    name = random.choice(options("matching"))
    layer = random.randint(1, LAYERS + 1)
    return [
        f"matching={name}",
        *([f"matching.pairs=[[1,{layer}],[2,2]]"] if name == "custom" else []),
        *_maybe(random, 0.1, "++matching.mass=pairs", "++matching.mix=features",
                "++matching.k=3", "++matching.weigh.temperature=null", "++matching.weigh.steps=1"),
    ]  # fmt: skip


def _init(random: Random) -> list[str]:
    name = random.choice([name for name in options("init") if name != "pretrained"])  # needs files
    if name == "run":
        stage = random.choice(["'knowledge=none'", "'knowledge=hidden_mse','hard.weight=0'"])
        return ["init=run", f"init.run=[{stage}]", *_maybe(random, 0.3, "init.head=keep")]
    if random.random() < 0.5:
        return ["init=random"]
    weights = random.choice(["pretrained"] + 9 * ["finetuned"])
    return [
        f"init={name}",
        *([f"init.weights={weights}"] if name.startswith("teacher_") else []),
        *(["init.layers=[1,2,4]"] if name == "teacher_custom" else []),
    ]


def _rest(random: Random) -> list[str]:
    return [
        *_maybe(random, 0.1, "data.transfer=unlabelled", "data.fold=[1,2]"),
        *_maybe(random, 0.1, "train.precision=bf16", "train.freeze_encoder=true",
                "train.stop=0.5", "train.batching=random"),
        *_maybe(random, 0.1, "protocol=pkd_legacy", "protocol.checkpoint=best_select"),
        f"seed={random.randint(0, 1)}",
    ]  # fmt: skip
