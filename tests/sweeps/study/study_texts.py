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
