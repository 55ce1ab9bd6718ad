"""Captions: one scene said in many ways, all of them true, each attribute named unless told to leave some out."""

from typing import Final

import numpy as np

from pipeline.synthetic.scene import Scene, Thing
from pipeline.synthetic.vocabulary import OPPOSITE, Colour, Motion, Pattern, Relation, Size, pick

_NUMBERS: Final = ("", "one", "two", "three")
_PLURALS: Final[dict[str, str]] = {"cross": "crosses", "hourglass": "hourglasses"}
_SIZES: Final[dict[Size, tuple[str, ...]]] = {"small": ("small", "small", "little"), "large": ("large", "large", "big")}
_MOTIONS: Final[dict[Motion, tuple[str, ...]]] = {
    "still": ("standing still",),
    "drifting": ("drifting", "sliding back and forth"),
    "spinning": ("spinning", "turning"),
    "pulsing": ("pulsing", "growing and shrinking"),
}
_RELATIONS: Final[dict[Relation, tuple[str, ...]]] = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above",),
    "below": ("below", "under"),
}
# {c} is the colour. The first form is the plain one, the rest are what people say as well.
_BACKGROUNDS: Final[dict[Pattern, tuple[str, ...]]] = {
    "plain": ("on a plain {c} background", "on plain {c}"),
    "striped": ("on a striped {c} background", "over {c} stripes", "on {c} with stripes"),
    "checkered": ("on a checkered {c} background", "over {c} checks", "on a {c} checkerboard"),
    "dotted": ("on a dotted {c} background", "over {c} dots", "on {c} with dots"),
    "gradient": ("on a gradient {c} background", "on a {c} gradient", "over a {c} gradient"),
}
_OPENINGS: Final = ("", "", "", "a video of ", "a clip with ")
_MOTION_TOLD = 0.5
_BACKGROUND_FIRST = 0.15


def caption(scene: Scene, rng: np.random.Generator, omit: float = 0.0) -> str:
    """Say a scene in words.

    Args:
        scene: what to say.
        rng: chooses among the templates and the words.
        omit: chance of leaving out each size, the pattern, and the background. 0 leaves a caption that no scene
            of another `Scene.key` fits; training may want more. The motion is told half of the time.

    >>> from pipeline.synthetic.scene import Scene, Thing
    >>> star = Thing(shape="star", colour="red", size="small")
    >>> scene = Scene(things=(star,), count=3, pattern="striped", background="teal", motion="still")
    >>> caption(scene, np.random.default_rng(3))
    'three small red stars on a striped teal background'
    """
    objects = _objects(scene, rng, omit)
    if rng.random() < _MOTION_TOLD:
        objects += _motion(scene, rng)
    background = _background(scene.pattern, scene.background, rng, omit)
    if background and rng.random() < _BACKGROUND_FIRST:
        return f"{background}, {objects.rstrip(',')}"
    return f"{pick(rng, _OPENINGS)}{objects} {background}".rstrip(", ")


def _objects(scene: Scene, rng: np.random.Generator, omit: float) -> str:
    if scene.relation is None:
        return _noun_phrase(scene.things[0], scene.count, rng, omit)
    (first, second), relation = scene.things, scene.relation
    if rng.random() < 0.5:  # noqa: PLR2004  (a coin)
        first, second, relation = second, first, OPPOSITE[relation]
    said = (_noun_phrase(first, 1, rng, omit), pick(rng, _RELATIONS[relation]), _noun_phrase(second, 1, rng, omit))
    return " ".join(said)


def _noun_phrase(thing: Thing, count: int, rng: np.random.Generator, omit: float) -> str:
    size = "" if rng.random() < omit else f"{pick(rng, _SIZES[thing.size])} "
    words = f"{size}{thing.colour} {thing.shape if count == 1 else plural(thing.shape)}"
    if count > 1:
        return f"{_NUMBERS[count]} {words}"
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def plural(shape: str) -> str:
    """More than one of a shape.

    >>> plural("cross"), plural("star")
    ('crosses', 'stars')
    """
    return _PLURALS.get(shape, f"{shape}s")


def _motion(scene: Scene, rng: np.random.Generator) -> str:
    words = pick(rng, _MOTIONS[scene.motion])
    return f", both {words}," if scene.relation else f" {words}"


def _background(pattern: Pattern, colour: Colour, rng: np.random.Generator, omit: float) -> str:
    if rng.random() < omit:
        return ""
    if rng.random() < omit:
        article = "an" if colour[0] in "aeiou" else "a"
        return f"on {article} {colour} background"
    forms = _BACKGROUNDS[pattern]
    # The plain form half of the time, else any of the others.
    form = forms[0] if rng.random() < 0.5 else pick(rng, forms[1:])  # noqa: PLR2004  (a coin)
    return form.format(c=colour).replace(" a orange", " an orange")
