"""Studies that several tests read."""

SIZES = """
question: Which?
base: [task=synthetic, matching=skip]
seeds: [1]
blocks:
  - table: sizes
    cases:
      small: [size=l1_h32_a2, knowledge=logits_kl]
      small hidden: [knowledge=hidden_mse, size=l1_h32_a2, matching=last]
      large: [size=l2_h64_a4, "knowledge=[logits_kl,cls_pkd]", hard.weight=0.5]
"""

TEACHERS = {
    "one": "teachers: one",
    "paired": "teachers: paired",
    "crossed": "teachers: crossed\nteacher_seeds: [1, 2]",
}

TEXT = """
question: Which?
base: [task=synthetic]
seeds: [1, 2]
blocks:
  - table: first
    control: none
    grid: {train.lr: [1e-3, 1e-4]}
    cases:
      none: [knowledge=none]
      logits: [knowledge=logits_kl]
  - table: second
    control: none
    base: [train.lr=1e-3]
    seeds: [2]
    cases:
      none: [knowledge=none]
      hidden: [knowledge=hidden_mse, matching=last]
skip:
  - {name: too_small, when: [knowledge=logits_kl, train.lr=0.0001], reason: it does not learn}
"""

TUNED = """
question: Which?
base: [task=synthetic]
blocks:
  - table: tuned
    grid: {size: [l1_h32_a2, l2_h32_a2]}
    zip: {train.epochs: [1, 2], train.batch_size: [16, 32]}
    cases:
      logits: [knowledge=logits_kl]
      hidden: [knowledge=hidden_mse, matching=last]
    tune:
      over: {train.lr: [1e-3, 1e-4]}
      also: {logits: {knowledge.logits_kl.weight: [1, 10]}}
      trials: 2
      seeds: [0]
    confirm: {seeds: [1, 2]}
"""

SETTINGS = """\
question: Q?
seeds: [1]
blocks:
  - table: t
    grid: {task: [rte, mnli]}
    settings: chosen.csv
    control: kd
    controls: false
    cases: {kd: [knowledge=logits_kl], ft: [knowledge=none]}
"""

CHOSEN = (
    "case,task,train.lr,hard.weight,note\nkd,rte,2e-5,0.3,best\nkd,mnli,5e-5,,\nother,rte,1,1,\n"
)
