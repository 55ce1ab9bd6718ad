"""A scene: what is to be seen, as data that a caption, a picture and a hard negative are all made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.synthetic.vocabulary import (
    COLOURS,
    MAX_COUNT,
    MOTIONS,
    OPPOSITE,
    PATTERNS,
    RELATIONS,
    ROUND_SHAPES,
    SHAPES,
    SIZES,
    Colour,
    Motion,
    Pattern,
    Relation,
    Shape,
    Size,
    pick,
)

SceneKey = tuple[object, ...]
_SEED_LIMIT = 1 << 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One drawn object."""

    shape: Shape
    colour: Colour
    size: Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A patterned background with one object, two or three copies of it, or two objects in a relation.

    Attributes:
        things: one object, or two of different shape and colour: things[0] is `relation` things[1].
        count: copies of the one object; 1 where there are two objects.
        relation: None unless there are two objects.
        pattern: of the background.
        background: colour of the background, which no object has.
        motion: of all objects alike.
        layout_seed: fixes whatever no caption tells: places, angles, phases, the pattern's scale.
    """

    things: tuple[Thing, ...]
    count: int = 1
    relation: Relation | None = None
    pattern: Pattern
    background: Colour
    motion: Motion
    layout_seed: int = 0

    def __post_init__(self) -> None:
        if len(self.things) != (1 if self.relation is None else 2):
            raise ValueError("a relation needs two objects, and two objects need a relation")
        if not 1 <= self.count <= (MAX_COUNT if self.relation is None else 1):
            raise ValueError(f"{self.count=} with {self.relation=}: one object may be copied, two may not")
        if any(thing.colour == self.background for thing in self.things):
            raise ValueError(f"an object is as {self.background} as its background")
        if self.motion == "spinning" and any(thing.shape in ROUND_SHAPES for thing in self.things):
            raise ValueError("nobody sees a round object spin")
        if self.relation is not None and _too_alike(*self.things):
            raise ValueError("two objects in a relation must differ in shape and in colour")

    @property
    def drawn(self) -> tuple[Thing, ...]:
        """The objects in the picture, copies included."""
        return self.things * self.count

    def key(self) -> SceneKey:
        """Equal for scenes that one caption may describe: A left of B is B right of A, motion and layout aside.

        Motion is left out because a single frame does not show it, and captions may leave it out.
        """
        things, relation = self.things, self.relation
        if relation in ("right of", "below"):
            things, relation = things[::-1], OPPOSITE[relation]
        return (things, self.count, relation, self.pattern, self.background)

    def attributes(self) -> dict[str, Any]:
        """The scene as plain values, for JSON."""
        return {
            "objects": [{"size": thing.size, "colour": thing.colour, "shape": thing.shape} for thing in self.things],
            "count": self.count,
            "relation": self.relation,
            "background": {"pattern": self.pattern, "colour": self.background},
            "motion": self.motion,
        }


def _too_alike(first: Thing, second: Thing) -> bool:
    return first.shape == second.shape or first.colour == second.colour


def sample_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene: one object, copies, or two in a relation, a third of the time each.

    >>> sample_scene(np.random.default_rng(7)) == sample_scene(np.random.default_rng(7))
    True
    """
    kind = int(rng.integers(3))
    motion = pick(rng, MOTIONS)
    background = pick(rng, COLOURS)
    colours = [colour for colour in COLOURS if colour != background]
    shapes = allowed_shapes(motion)
    things = [_sample_thing(rng, shapes, colours)]
    if kind == 2:  # noqa: PLR2004  (the third of three kinds)
        other_shapes = [shape for shape in shapes if shape != things[0].shape]
        other_colours = [colour for colour in colours if colour != things[0].colour]
        things.append(_sample_thing(rng, other_shapes, other_colours))
    return Scene(
        things=tuple(things),
        count=int(rng.integers(2, MAX_COUNT + 1)) if kind == 1 else 1,
        relation=pick(rng, RELATIONS) if len(things) > 1 else None,
        pattern=pick(rng, PATTERNS),
        background=background,
        motion=motion,
        layout_seed=int(rng.integers(_SEED_LIMIT)),
    )


def allowed_shapes(motion: Motion) -> list[Shape]:
    """The shapes on which the motion can be seen."""
    return [shape for shape in SHAPES if motion != "spinning" or shape not in ROUND_SHAPES]


def _sample_thing(rng: np.random.Generator, shapes: Sequence[Shape], colours: Sequence[Colour]) -> Thing:
    return Thing(shape=pick(rng, shapes), colour=pick(rng, colours), size=pick(rng, SIZES))
