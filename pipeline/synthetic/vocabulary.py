"""The words a scene is made of, and what each looks like: colours as RGB, sizes as shares of the picture."""

from collections.abc import Sequence
from typing import Final, Literal, TypeVar, get_args

import numpy as np

Shape = Literal["circle", "square", "triangle", "star", "heart", "cross", "ring", "crescent", "arrow", "hourglass"]
Colour = Literal["red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "white", "black"]
Size = Literal["small", "large"]
Pattern = Literal["plain", "striped", "checkered", "dotted", "gradient"]
Motion = Literal["still", "drifting", "spinning", "pulsing"]
Relation = Literal["left of", "right of", "above", "below"]
Rgb = tuple[int, int, int]

SHAPES: Final[tuple[Shape, ...]] = get_args(Shape)
COLOURS: Final[tuple[Colour, ...]] = get_args(Colour)
SIZES: Final[tuple[Size, ...]] = get_args(Size)
PATTERNS: Final[tuple[Pattern, ...]] = get_args(Pattern)
MOTIONS: Final[tuple[Motion, ...]] = get_args(Motion)
RELATIONS: Final[tuple[Relation, ...]] = get_args(Relation)

# A turning circle looks like a still one, so its caption would say what no picture shows.
ROUND_SHAPES: Final[frozenset[Shape]] = frozenset({"circle", "ring"})
OPPOSITE: Final[dict[Relation, Relation]] = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
}
# Far apart in hue or brightness: yuv420 halves the resolution of colour, and small objects must survive that.
RGB: Final[dict[Colour, Rgb]] = {
    "red": (212, 30, 36),
    "orange": (247, 136, 20),
    "yellow": (250, 224, 44),
    "green": (42, 146, 50),
    "teal": (20, 190, 186),
    "blue": (34, 82, 222),
    "purple": (148, 52, 182),
    "pink": (250, 146, 194),
    "white": (248, 248, 248),
    "black": (22, 22, 24),
}
# Radius of the circle around an object, as a share of the picture's side: 6.4 and 11.5 pixels of 64.
RADIUS: Final[dict[Size, float]] = {"small": 0.10, "large": 0.18}
MAX_COUNT: Final = 3

_T = TypeVar("_T")


def pick(rng: np.random.Generator, options: Sequence[_T]) -> _T:
    """One of the options, each as likely as the others."""
    return options[int(rng.integers(len(options)))]


def shade(colour: Colour) -> Rgb:
    """The second tone of a patterned background: of the same hue, so that the background keeps one colour name.

    >>> shade("red"), shade("black")
    ((140, 20, 24), (83, 83, 85))
    """
    red, green, blue = RGB[colour]
    if colour == "black":
        # Nothing is darker than black, so its second tone is a dark grey.
        return (red + 61, green + 61, blue + 61)
    return (round(red * 0.66), round(green * 0.66), round(blue * 0.66))
