"""What leaderboards say about models, as differences in rating, and the acceptance prior that follows.

Ratings compare within one board, one tag and one date only, so the file keeps differences to one anchor model and
never a rating. The prior is good for order and not for arithmetic: no outcome of ours has gone into it.
"""

from __future__ import annotations

import math
from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from imagerouter.catalogue.sizing import Frozen

PriorClass = Literal["general", "structured_text", "photoreal", "creative", "edit", "compose"]


class Board(Frozen):
    """A leaderboard on a date. `licence` and `credit` are what its publisher asks for."""

    id: str
    date: date
    source: str
    licence: str
    credit: str


class Difference(Frozen):
    """How many rating points a model stands above (+) or below (-) the anchor, by class, on one board."""

    model: str
    board: str
    by_class: dict[PriorClass, float]


class Inference(Frozen):
    """A model that no board has: taken to be `offset` points from another, for the stated reason."""

    model: str
    like: str
    offset: float
    reason: str


class Priors(Frozen):
    """Leaderboard differences, condensed.

    `anchor_p_accept` is the assumed chance that the anchor's output is accepted; `quality_offset` is what a draft or a
    high setting is assumed to change, in rating points, for models that have the knob.
    """

    version: str
    anchor: str
    anchor_p_accept: float = Field(gt=0, lt=1)
    quality_offset: dict[Literal["draft", "standard", "high"], float]
    tags: dict[str, dict[PriorClass, tuple[str, ...]]]
    boards: tuple[Board, ...]
    differences: tuple[Difference, ...]
    inferences: tuple[Inference, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Priors:
        boards = {board.id for board in self.boards}
        rated = {row.model for row in self.differences} | {self.anchor}
        wrong = [f"no board {row.board!r}" for row in self.differences if row.board not in boards]
        wrong += [
            f"{row.model} is like {row.like}, which no board has" for row in self.inferences if row.like not in rated
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def named(self) -> frozenset[str]:
        """Every model id that the file names."""
        rows = {row.model for row in self.differences} | {row.model for row in self.inferences}
        return frozenset(rows | {self.anchor})

    def difference(self, model: str, prior_class: PriorClass) -> float:
        """Work out a model's rating points against the anchor's.

        The mean over the boards that have the class, else over those with the general one (for `compose`: the edit
        one). KeyError for a model that the file does not name.
        """
        if model == self.anchor:
            return 0.0
        for row in self.inferences:
            if row.model == model:
                return self.difference(row.like, prior_class) + row.offset
        rows = [row.by_class for row in self.differences if row.model == model]
        found = [row[prior_class] for row in rows if prior_class in row]
        fallback: PriorClass = "edit" if prior_class == "compose" else "general"
        found = found or [row[fallback] for row in rows if fallback in row]
        if not found:
            raise KeyError(model)
        return sum(found) / len(found)

    def p_accept(
        self, model: str, prior_class: PriorClass, level: Literal["draft", "standard", "high"] = "standard"
    ) -> float:
        """Work out the chance of acceptance, 0 to 1: logistic in the rating difference, six decimals."""
        points = self.difference(model, prior_class) + self.quality_offset[level]
        odds = math.log10(self.anchor_p_accept / (1 - self.anchor_p_accept)) + points / 400
        return round(1 / (1 + 10**-odds), 6)
