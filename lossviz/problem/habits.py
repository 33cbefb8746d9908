"""What a loss does beside returning values: it may differentiate, write into its batch, or change the model's modes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Habits:
    """Found out by trying a loss once, and shared by all forms of a problem.

    Attributes:
        known: Whether it was tried.
        differentiates: Whether it takes derivatives itself, by inputs or by parameters, and so needs gradients on.
        writes: Whether it changes the tensors of its batch in place, and so needs a copy of them.
        switched: A BatchNorm layer that it runs in another mode than it was left in; empty where there is none.
        switched_to_training: Into which.
    """

    known: bool = False
    differentiates: bool = False
    writes: bool = False
    switched: str = ""
    switched_to_training: bool = False
