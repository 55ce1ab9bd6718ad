"""Hard negatives: a scene that is wrong in one attribute and right in all others."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Literal, TypeVar, get_args

import numpy as np

from pipeline.synthetic.scene import Scene, Thing, allowed_shapes
from pipeline.synthetic.vocabulary import COLOURS, MAX_COUNT, OPPOSITE, PATTERNS, SIZES, pick

Attribute = Literal["colour", "shape", "size", "count", "background", "relation"]
ATTRIBUTES: Final[tuple[Attribute, ...]] = get_args(Attribute)

_T = TypeVar("_T")


def changeable(scene: Scene) -> list[Attribute]:
    """The attributes that a hard negative of this scene can change.

    Two objects have a relation but no count, one object and its copies have a count but no relation.
    """
    missing = "relation" if scene.relation is None else "count"
    return [attribute for attribute in ATTRIBUTES if attribute != missing]


def hard_negative(
    scene: Scene, rng: np.random.Generator, attribute: Attribute | None = None
) -> tuple[Scene, Attribute]:
    """Change one attribute of a scene, and nothing else; the look that no caption tells stays too.

    A relation is turned round ("left of" to "right of"); a background changes its pattern or its colour, never both.

    Args:
        scene: what is true.
        rng: chooses what to change and into what.
        attribute: what to change; None for any of `changeable`.

    Returns:
        The other scene, never one with the same `Scene.key`, and the attribute that was changed.

    Raises:
        ValueError: this scene has no such attribute.
    """
    possible = changeable(scene)
    chosen = pick(rng, possible) if attribute is None else attribute
    if chosen not in possible:
        raise ValueError(f"a scene with {scene.relation=} has no {chosen} to change; it has {', '.join(possible)}")
    return _CHANGES[chosen](scene, rng), chosen


def _other(rng: np.random.Generator, options: Sequence[_T], taken: set[_T]) -> _T:
    return pick(rng, [option for option in options if option not in taken])


def _with_thing(scene: Scene, index: int, thing: Thing) -> Scene:
    things = tuple(thing if i == index else old for i, old in enumerate(scene.things))
    return replace(scene, things=things)


def _change_colour(scene: Scene, rng: np.random.Generator) -> Scene:
    index = int(rng.integers(len(scene.things)))
    taken = {scene.background, *(thing.colour for thing in scene.things)}
    return _with_thing(scene, index, replace(scene.things[index], colour=_other(rng, COLOURS, taken)))


def _change_shape(scene: Scene, rng: np.random.Generator) -> Scene:
    index = int(rng.integers(len(scene.things)))
    taken = {thing.shape for thing in scene.things}
    shape = _other(rng, allowed_shapes(scene.motion), taken)
    return _with_thing(scene, index, replace(scene.things[index], shape=shape))


def _change_size(scene: Scene, rng: np.random.Generator) -> Scene:
    index = int(rng.integers(len(scene.things)))
    thing = scene.things[index]
    return _with_thing(scene, index, replace(thing, size=_other(rng, SIZES, {thing.size})))


def _change_count(scene: Scene, rng: np.random.Generator) -> Scene:
    return replace(scene, count=_other(rng, range(1, MAX_COUNT + 1), {scene.count}))


def _change_background(scene: Scene, rng: np.random.Generator) -> Scene:
    if rng.random() < 0.5:  # noqa: PLR2004  (a coin)
        return replace(scene, pattern=_other(rng, PATTERNS, {scene.pattern}))
    taken = {scene.background, *(thing.colour for thing in scene.things)}
    return replace(scene, background=_other(rng, COLOURS, taken))


def _change_relation(scene: Scene, rng: np.random.Generator) -> Scene:
    if scene.relation is None:
        raise AssertionError("hard_negative() asks for this only where there is a relation")
    return replace(scene, relation=OPPOSITE[scene.relation])


_CHANGES: Final[dict[Attribute, Callable[[Scene, np.random.Generator], Scene]]] = {
    "colour": _change_colour,
    "shape": _change_shape,
    "size": _change_size,
    "count": _change_count,
    "background": _change_background,
    "relation": _change_relation,
}
