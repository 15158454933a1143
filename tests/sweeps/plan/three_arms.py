"""The block of a study with a control and two arms; `{base}` is to be filled in."""

STUDY = """
question: Which?
base: [{base}]
seeds: [1, 2, 3]
blocks:
  - table: main
    control: none
    cases: {{none: [knowledge=none], logits: [knowledge=logits_kl], hidden: [knowledge=hidden_mse]}}
"""
