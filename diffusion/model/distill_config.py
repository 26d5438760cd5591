"""How a student is made of a trained stage: from how many steps to how many, and in which rounds."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["DistillConfig", "Predicts"]

Predicts = Literal["noise", "velocity", "clean"]


class DistillConfig(BaseModel):
    """Progressive distillation: from so many steps of a teacher to so many of the student, halved round by round."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    from_steps: int = Field(default=64, ge=2)
    steps: int = Field(default=8, ge=1)
    guidance: float | None = Field(default=None, ge=0)
    """Of the teacher; the student has it built in. None: as the teacher is sampled with."""
    teacher_predicts: Predicts = "noise"
    converts: bool = False
    """A first round halves nothing: the student learns the teacher's guided estimate, as that which it predicts."""

    @property
    def halvings(self) -> int:
        return (self.from_steps // self.steps).bit_length() - 1

    @property
    def rounds(self) -> int:
        return self.halvings + self.converts

    def round_at(self, step: int, total: int) -> tuple[int, int, int]:
        """Number of the round of a step of `total`, its first step, and the first of the next."""
        number = min(step * self.rounds // total, self.rounds - 1)
        first, end = (-(-n * total // self.rounds) for n in (number, number + 1))
        return number, first, end

    @model_validator(mode="after")
    def _halved(self) -> DistillConfig:
        if self.halvings < 1 or self.steps << self.halvings != self.from_steps:
            raise ValueError(
                f"{self.from_steps} steps can't be halved to {self.steps}; expected {self.steps} x 2, 4, 8, ..."
            )
        return self
