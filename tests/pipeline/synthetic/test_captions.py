import re

import numpy as np
import pytest

from pipeline.synthetic.captions import caption, plural
from pipeline.synthetic.scene import Scene, Thing, sample_scene
from pipeline.synthetic.vocabulary import COLOURS, OPPOSITE, PATTERNS, SHAPES

SIZES = {"small": "small", "little": "small", "large": "large", "big": "large"}
RELATIONS = {
    "left of": "left of",
    "to the left of": "left of",
    "right of": "right of",
    "to the right of": "right of",
    "above": "above",
    "below": "below",
    "under": "below",
}
COUNTS = {"a": 1, "an": 1, "two": 2, "three": 3}
SINGULAR = {plural(shape): shape for shape in SHAPES} | {shape: shape for shape in SHAPES}
NOUN = (
    rf"({'|'.join(COUNTS)}) (?:({'|'.join(SIZES)}) )?({'|'.join(COLOURS)}) "
    rf"({'|'.join(sorted(SINGULAR, key=len, reverse=True))})\b"
)
PATTERN_WORDS = {"stripes": "striped", "checks": "checkered", "checkerboard": "checkered", "dots": "dotted"}
MOTION_WORDS = {
    "standing still": "still",
    "drifting": "drifting",
    "sliding back and forth": "drifting",
    "spinning": "spinning",
    "turning": "spinning",
    "pulsing": "pulsing",
    "growing and shrinking": "pulsing",
}


def understand(text):
    """What a reader takes from a caption: things, count, relation (of the first to the second), background, motion."""
    nouns = re.findall(NOUN, text)
    things = [Thing(shape=SINGULAR[shape], colour=colour, size=SIZES.get(size)) for _, size, colour, shape in nouns]
    rest = re.sub(NOUN, "#", text)
    between = re.search(r"# ([a-z ]+) #", rest)
    relation = RELATIONS[between[1]] if between else None
    patterns = {PATTERN_WORDS.get(word, word) for word in re.findall(r"[a-z]+", rest)} & set(PATTERNS)
    colours = set(re.findall(r"[a-z]+", rest)) & set(COLOURS)
    motions = {motion for words, motion in MOTION_WORDS.items() if words in rest}
    return things, COUNTS[nouns[0][0]], relation, patterns, colours, motions


def test_a_reader_gets_every_attribute_back():
    rng = np.random.default_rng(5)
    for _ in range(1500):
        scene = sample_scene(rng)
        text = caption(scene, rng)
        things, count, relation, patterns, colours, motions = understand(text)

        if relation is not None and things[0] != scene.things[0]:
            things, relation = things[::-1], OPPOSITE[relation]
        assert (tuple(things), count, relation) == (scene.things, scene.count, scene.relation), text
        assert (patterns, colours) == ({scene.pattern}, {scene.background}), text
        assert motions <= {scene.motion}, text


def test_what_is_left_out_is_never_replaced_by_something_false():
    rng = np.random.default_rng(6)
    left_out = 0
    for _ in range(500):
        scene = sample_scene(rng)
        text = caption(scene, rng, omit=0.5)
        things, count, _, patterns, colours, motions = understand(text)

        said = {(thing.shape, thing.colour) for thing in things}
        assert (said, count) == ({(thing.shape, thing.colour) for thing in scene.things}, scene.count), text
        assert patterns <= {scene.pattern}
        assert colours <= {scene.background}
        assert motions <= {scene.motion}
        assert not text.endswith((",", " "))
        left_out += not colours
    assert 150 < left_out < 350


def test_captions_read_as_english():
    rng = np.random.default_rng(7)
    texts = [caption(sample_scene(rng), rng, omit=0.3) for _ in range(2000)]

    assert not [text for text in texts if re.search(r"\ba [aeio]|\ban [^aeio]|  | ,|,,", text)]


@pytest.mark.parametrize(("words", "least"), [({}, 25), ({"motion": "pulsing"}, 25)])
def test_one_scene_is_said_in_many_ways(words, least):
    star = Thing(shape="star", colour="red", size="small")
    scene = Scene(**{"things": (star,), "pattern": "dotted", "background": "teal", "motion": "still", **words})
    rng = np.random.default_rng(8)

    assert len({caption(scene, rng) for _ in range(400)}) >= least
