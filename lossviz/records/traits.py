"""What is known of a quantity by its name: whether it is a part of 1, and whether more of it is better."""

from __future__ import annotations

SHARES = ("error", "accuracy")  # parts of 1, shown in percent on a linear scale
HIGHER = (
    "accuracy", "top1", "top5", "correct", "reward", "return", "score", "f1", "auc", "auroc", "iou", "miou", "bleu",
    "rouge", "psnr", "ssim", "r2", "precision", "recall", "likelihood", "log_likelihood", "elbo",
)  # fmt: skip


def is_share(quantity: str) -> bool:
    """Whether a quantity, without its split, is a part of 1: shown in percent, on a linear scale.

    Example:
        >>> is_share("error"), is_share("loss")
        (True, False)
    """
    return quantity in SHARES


def is_higher_better(quantity: str) -> bool:
    """Whether more of a quantity is better, by the last words of its name; split or not.

    Example:
        >>> is_higher_better("accuracy"), is_higher_better("test_mean_reward"), is_higher_better("train_loss")
        (True, True, False)
    """
    return quantity in HIGHER or quantity.endswith(tuple(f"_{word}" for word in HIGHER))
