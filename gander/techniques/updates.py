"""Updates: who moves when in a training step, and on which images."""

from __future__ import annotations

from typing import ClassVar, Literal, Protocol

from gander.techniques.slots import Kind, Part


class Game(Protocol):
    """The moves of a trainer."""

    def step_d(self) -> None:
        """Let D learn from the next real images and from fresh fakes."""

    def step_g(self) -> None:
        """Let G learn from what D says of fresh fakes."""

    def step_both(self) -> None:
        """Let both learn from one look at the same fakes."""


class Updates(Part):
    """The order of D's and G's moves.

    `parts` are the images of each of D's updates, all within one batch; with `together` the two nets cannot
    be moved one after the other.
    """

    slot: ClassVar[str] = "train.d_update"
    parts: ClassVar[tuple[tuple[Kind, ...], ...]] = (("real", "fake"),)
    together: ClassVar[bool] = False

    def turn(self, game: Game, d_steps: int) -> None:
        """Make the moves of one step."""
        for _ in range(d_steps):
            game.step_d()
        game.step_g()


class Joint(Updates):
    """D learns from a batch of real images and a batch of fakes at once, then G.

    Source: Goodfellow et al. 2014, algorithm 1.
    """

    kind: Literal["joint"] = "joint"


class Separate(Updates):
    """D learns from half a batch of real images, then from half a batch of fakes, then G from a whole batch.

    Hurts when: D has batch norm and the two halves look different: it sees which half it is.
    Source: common in Keras tutorials; ganhacks, item 4.
    """

    kind: Literal["separate"] = "separate"
    parts: ClassVar[tuple[tuple[Kind, ...], ...]] = (("real",), ("fake",))


class Shared(Updates):
    """D and G learn from one look at the same fakes, each against the other as it was before.

    A sixth less work a step in nets of equal cost. The halves of a step cannot be made one by one.
    """

    kind: Literal["shared"] = "shared"
    together: ClassVar[bool] = True

    def turn(self, game: Game, d_steps: int) -> None:
        game.step_both()
