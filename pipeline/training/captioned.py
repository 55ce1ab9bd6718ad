"""A scene's caption with a hard negative: the same sentence, wrong in one attribute."""

from dataclasses import dataclass

import numpy as np

from pipeline.synthetic.captions import caption
from pipeline.synthetic.hard_negatives import Attribute, changeable, hard_negative
from pipeline.synthetic.scene import Scene
from pipeline.synthetic.vocabulary import pick

# "a cross" against "three crosses" changes four words; a sentence of another form changes more.
_MAX_CHANGED_WORDS = 6
_TRIES = 16


@dataclass(frozen=True)
class ChangeShares:
    """How often a hard negative changes what contrastive models learn last; see `schemas.training.TrainConfig`.

    Attributes:
        relation: of the scenes that have one, the share whose relation is turned round.
        shape: of the rest, the share in which a shape is changed; in the others any attribute, shape too.
    """

    relation: float = 0.5
    shape: float = 0.4


def caption_pair(
    scene: Scene, rng: np.random.Generator, omit: float, shares: ChangeShares = ChangeShares()
) -> tuple[str, str]:
    """A true caption and its hard negative, in the same words but for the change.

    >>> from pipeline.synthetic.scene import sample_scene
    >>> rng = np.random.default_rng(2)
    >>> true, false = caption_pair(sample_scene(rng), rng, omit=0.0)
    >>> true != false
    True
    """
    return same_words(scene, twin_of(scene, rng, shares), rng, omit)


def twin_of(scene: Scene, rng: np.random.Generator, shares: ChangeShares = ChangeShares()) -> Scene:
    """A scene that is wrong in one attribute."""
    other, _ = hard_negative(scene, rng, _attribute(scene, rng, shares))
    return other


def same_words(scene: Scene, other: Scene, rng: np.random.Generator, omit: float) -> tuple[str, str]:
    """Both scenes said in one form, such that the captions differ, and in a few words only."""
    true, false = "", ""
    for attempt in range(_TRIES):
        # Equal seeds choose equal forms, as long as both scenes leave as many words to choose from.
        words = int(rng.integers(1 << 31))
        # A caption that leaves out what was changed tells nothing false.
        omitted = omit if attempt == 0 else 0.0
        true, false = (caption(said, np.random.default_rng(words), omitted) for said in (scene, other))
        if 0 < len(set(true.split()) ^ set(false.split())) <= _MAX_CHANGED_WORDS:
            break
    return true, false


def _attribute(scene: Scene, rng: np.random.Generator, shares: ChangeShares) -> Attribute:
    if scene.relation is not None and rng.random() < shares.relation:
        return "relation"
    return "shape" if rng.random() < shares.shape else pick(rng, changeable(scene))
