import pytest

from models.registry import load_model
from pipeline.synthetic.hard_negatives import ATTRIBUTES
from pipeline.training.probes import probe, probe_scenes
from tests.pipeline.training.tiny import tiny_model


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_the_two_captions_of_a_probe_differ_in_a_few_words_only(attribute):
    cases = list(probe_scenes(attribute, 20, seed=1))
    assert len(cases) == 20
    for _, true, false in cases:
        words = [set(text.replace(",", "").split()) for text in (true, false)]
        assert true != false
        assert len(words[0] ^ words[1]) <= 6  # at the most "a cross" against "three crosses", or "on x" for "over xs"


def test_an_untrained_model_is_about_at_chance():
    assert 20 < probe(tiny_model().eval(), "colour", count=60) < 80


def test_the_shipped_model_knows_colours_sizes_and_backgrounds():
    model = load_model("reelsift-tiny")
    assert min(probe(model, attribute, count=60, seed=5) for attribute in ("colour", "size", "background")) > 85
