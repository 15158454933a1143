"""What the papers of recipes say, after their own code where there is any."""

from typing import Any

# Layers, width, heads and feed-forward of the sizes that they name.
SIZES = {
    "l6_h768": (6, 768, 12, 3072),
    "l6_h384": (6, 384, 12, 1536),
    "l4_h768": (4, 768, 12, 3072),
    "l3_h768": (3, 768, 12, 3072),
    "base": (12, 768, 12, 3072),
    "tinybert4": (4, 312, 12, 1200),
}
GENERAL = ("distilbert", "minilm", "minilmv2", "tinybert_general")  # on a corpus
# The runs that a recipe starts from, and which of them keeps its classifier.
STAGES = {
    "tinybert_intermediate": ["tinybert_general"],
    "tinybert": ["tinybert_intermediate", "tinybert_general"],
    "bert_emd": ["tinybert_general"],
    "annealing_kd": ["annealing_kd_logits"],
    "fitnets": ["fitnets_hint"],
}
GROWTH = {"annealing_kd_logits": 7**2}  # of the square of what the student is to reach
KEEPS = ("annealing_kd",)
TINYBERTS = ("tinybert_general", "tinybert_intermediate", "bert_emd")  # one map for all layers
# A sum over the student's layers, not a mean.
SUMMED = (
    "tinybert_general", "tinybert_intermediate", "alp_kd", "rail_kd", "universal_kd",
)  # fmt: skip
WARM = (0.1, 0.01)  # warm-up and weight decay of BERT's own fine-tuning
COLD = (0.0, 0.0)


def kl(weight: float, temperature: float, reduction: str = "sum") -> dict[str, Any]:
    return {"weight": weight, "temperature": temperature, "reduction": reduction}


def pkd(weight: float, reduction: str) -> dict[str, Any]:
    return {"weight": weight, "normalize": True, "reduction": reduction}


# What each paper says: size, init, matching; the weight of the task's loss; weight and knobs of the
# terms; epochs, batch, rate; warm-up and weight decay.
SAYS: dict[str, tuple[Any, ...]] = {
    "kd": (
        "l6_h768", "teacher_first", "none", 0.5, {"logits_kl": kl(0.5, 10, "mean")},
        (4, 32, 5e-5), WARM,
    ),
    "pkd_skip": (
        "l6_h768", "teacher_first", "pkd_skip", 0.5,
        {"logits_kl": kl(0.5, 10, "mean"), "cls_pkd": pkd(100, "mean")},
        (4, 32, 5e-5), WARM,
    ),
    "pkd_last": (
        "l6_h768", "teacher_first", "pkd_last", 0.5,
        {"logits_kl": kl(0.5, 10, "mean"), "cls_pkd": pkd(100, "mean")},
        (4, 32, 5e-5), WARM,
    ),
    "rkd": (
        "l6_h768", "teacher_first", "last1", 1,
        {"logits_kl": kl(1, 4), "rkd_distance": {"weight": 25}, "rkd_angle": {"weight": 50}},
        (4, 32, 5e-5), WARM,
    ),
    "similarity": (
        "l6_h768", "teacher_first", "last1", 1, {"similarity": {"weight": 3000}},
        (4, 32, 5e-5), WARM,
    ),
    "dkd": (
        "l6_h768", "teacher_first", "none", 1,
        {"logits_dkd": {"weight": 1, "temperature": 4, "target_weight": 1, "others_weight": 8}},
        (4, 32, 5e-5), WARM,
    ),
    "ckd": (
        "l6_h768", "pretrained", "skip", 0.1,
        {
            "logits_ce": kl(0.9 / 16, 4),
            "ckd_word_pair": {"weight": 100 * 6 / 7 / 20.16},
            "ckd_word_triple": {"weight": 1000 * 6 / 7 * 0.7604, "window": 21},
            "ckd_layer_pair": {"weight": 100 / 7},
            "ckd_layer_triple": {"weight": 1000 * 30 / 49},
        },
        (4, 32, 4e-5), COLD,
    ),
    "alp_kd": (
        "l6_h768", "teacher_first", "alp_kd", 0.1,
        {"logits_ce": kl(0.7 / 400, 20), "hidden_mse": {"weight": 0.2}},
        (4, 32, 2e-5), WARM,
    ),
    "rail_kd": (
        "l6_h768", "teacher_both_ends", "rail_kd", 1 / 3,
        {"logits_ce": kl(1 / 300, 10), "mean_pkd": pkd(1 / 3, "sum")},
        (4, 32, 2e-5), WARM,
    ),
    "universal_kd": (
        "l4_h768", "teacher_first", "alp_kd", 0,
        {"logits_kl": kl(0.5, 1), "layer_logits_kl": kl(0.5, 1)}, (4, 32, 2e-5), WARM,
    ),
    "pd": ("l6_h768", "pretrained", "none", 0, {"logits_ce": kl(1, 1)}, (4, 32, 1e-4), WARM),
    "born_again": (
        "base", "teacher_first", "none", 0, {"logits_ce": kl(1, 1)}, (3, 32, 3e-5), WARM,
    ),
    "annealing_kd_logits": (
        "l6_h768", "teacher_first", "none", 0,
        {"logits_annealed_mse": {"weight": 1, "teacher_scale": 1}}, (14, 32, 2e-5), COLD,
    ),
    "distilbert": (
        "l6_h768", "teacher_both_ends", "last1", 2,
        {"logits_kl": kl(5, 2), "hidden_cosine": {"weight": 1}}, (3, 250, 5e-4), (0.05, 0.0),
    ),
    "minilm": (
        "l6_h768", "random", "last1", 0,
        {"attention_kl": {"weight": 1}, "value_relation": {"weight": 1, "relation_heads": 12}},
        (3, 1024, 5e-4), (0.01, 0.01),
    ),
    "minilmv2": (
        "l6_h384", "random", "last1", 0,
        {f"{x}_relation": {"weight": 1, "relation_heads": 48} for x in ("query", "key", "value")},
        (3, 256, 6e-4), (0.01, 0.01),
    ),
    "tinybert_general": (
        "tinybert4", "random", "skip", 0,
        {f"{x}_mse": {"weight": 1} for x in ("embedding", "hidden", "attention")},
        (3, 256, 5e-5), WARM,
    ),
    "tinybert_intermediate": (
        "tinybert4", "run", "skip", 0,
        {f"{x}_mse": {"weight": 1} for x in ("embedding", "hidden", "attention")},
        (20, 32, 5e-5), (0.0, 0.01),
    ),
    "tinybert": (
        "tinybert4", "run", "none", 0, {"logits_ce": kl(1, 1, "mean")}, (3, 32, 3e-5), WARM,
    ),
    "bert_emd": (
        "tinybert4", "run", "emd", 0,
        {
            "logits_ce": kl(1, 1, "mean"),
            **{f"{x}_mse": {"weight": 0.001} for x in ("embedding", "hidden", "attention")},
        },
        (10, 32, 2e-5), (0.0, 0.01),
    ),
    "annealing_kd": ("l6_h768", "run", "none", 1, {}, (4, 32, 2e-5), COLD),
    "fitnets": (
        "l6_h768", "run", "none", 1, {"logits_ce": kl(4 / 9, 3)}, (4, 32, 5e-5), WARM,
    ),
    "takd": (
        "l3_h768", "teacher_first", "none", 0.5, {"logits_kl": kl(0.5, 10, "mean")},
        (4, 32, 5e-5), WARM,
    ),
    "fitnets_hint": (
        "l6_h768", "teacher_first", "middle", 0, {"hidden_mse": {"weight": 1}},
        (4, 32, 5e-5), WARM,
    ),
}  # fmt: skip

# By matching the pairs of 12 layers to 6 and to 4, and whether each counts whole.
EVERY = {s: [(i, j) for i in range(1, s + 1) for j in range(1, 13)] for s in (6, 4)}
PAIRS: dict[str, dict[int, list[tuple[int, int]]]] = {
    "pkd_skip": {6: [(1, 2), (2, 4), (3, 6), (4, 8), (5, 10)], 4: [(1, 3), (2, 6), (3, 9)]},
    "pkd_last": {6: [(1, 7), (2, 8), (3, 9), (4, 10), (5, 11)], 4: [(1, 9), (2, 10), (3, 11)]},
    "last1": {6: [(6, 12)], 4: [(4, 12)]},
    "middle": {6: [(3, 6)], 4: [(2, 6)]},
    "skip": {
        6: [(1, 2), (2, 4), (3, 6), (4, 8), (5, 10), (6, 12)],
        4: [(1, 3), (2, 6), (3, 9), (4, 12)],
    },
    "alp_kd": EVERY,
    "emd": EVERY,
    "rail_kd": {s: [(i, j) for i, j in EVERY[s] if i < s and j < 12] for s in (6, 4)},
}
SCHEDULES = dict.fromkeys(
    ("tinybert_intermediate", "bert_emd"), "constant_with_warmup"
)  # else linear
# The optimiser of each paper's code, where it is not AdamW with these.
ADAMW: dict[str, Any] = {
    "betas": (0.9, 0.999), "eps": 1e-8, "bias_correction": True, "clip": 1.0, "clip_scope": "model",
}  # fmt: skip
BERT_ADAM = ADAMW | {"eps": 1e-6, "bias_correction": False, "clip_scope": "tensor"}
OPTIMIZERS = {
    **dict.fromkeys(("kd", "pkd_skip", "pkd_last", "takd", "tinybert", *TINYBERTS), BERT_ADAM),
    "distilbert": ADAMW | {"betas": (0.9, 0.98), "eps": 1e-6, "clip": 5.0},
    "minilmv2": ADAMW | {"eps": 1e-6},
}
# What a teacher is trained with: its option, rate, epochs and optimiser.
PKDS_TEACHER = ("bert_base_pkd", 2e-5, 4, BERT_ADAM)
TEACHERS = dict.fromkeys(("kd", "pkd_skip", "pkd_last", "takd"), PKDS_TEACHER)
WEIGHED = {"alp_kd": "LayerAttention", "rail_kd": "RandomDraw", "emd": "EarthMover"}
NARROW = {"dkd": ["task.classes=3"]}  # what a recipe needs to apply
