"""A scene's caption with a hard negative: the same sentence, wrong in one attribute."""

import numpy as np

from pipeline.synthetic.captions import caption
from pipeline.synthetic.hard_negatives import Attribute, changeable, hard_negative
from pipeline.synthetic.scene import Scene
from pipeline.synthetic.vocabulary import pick

# A relation's direction is what contrastive models learn last: half of the negatives of related objects turn it.
_RELATION_SHARE = 0.5


def caption_pair(scene: Scene, rng: np.random.Generator, omit: float) -> tuple[str, str]:
    """A true caption and its hard negative, in the same words but for the change.

    >>> from pipeline.synthetic.scene import sample_scene
    >>> rng = np.random.default_rng(2)
    >>> true, false = caption_pair(sample_scene(rng), rng, omit=0.0)
    >>> true != false
    True
    """
    words = int(rng.integers(1 << 31))
    other, _ = hard_negative(scene, rng, _attribute(scene, rng))
    for omitted in (omit, 0.0):
        true, false = (caption(said, np.random.default_rng(words), omitted) for said in (scene, other))
        # A caption that leaves out what was changed tells nothing false.
        if true != false:
            break
    return true, false


def _attribute(scene: Scene, rng: np.random.Generator) -> Attribute:
    if scene.relation is not None and rng.random() < _RELATION_SHARE:
        return "relation"
    return pick(rng, changeable(scene))
