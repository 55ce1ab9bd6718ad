import itertools

import pytest

from pipeline.training.clip_order import ClipOrder


@pytest.mark.parametrize(("videos", "batch"), [(12, 4), (13, 4), (7, 7), (9, 2)])
def test_an_epoch_shows_each_video_at_most_once_and_epochs_differ(videos, batch):
    order = ClipOrder(videos, batch, seed=1)
    steps = videos // batch
    epochs = [
        [order.candidates(epoch * steps + step, slot)[0] for step in range(steps) for slot in range(batch)]
        for epoch in range(3)
    ]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == steps * batch
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize(("videos", "batch"), [(12, 4), (13, 4), (9, 2)])
def test_no_video_may_stand_in_for_two_places_of_a_batch(videos, batch):
    order = ClipOrder(videos, batch, seed=2)
    for step in range(2 * videos):
        columns = [order.candidates(step, slot) for slot in range(batch)]
        assert sorted(itertools.chain(*columns)) == list(range(videos))


def test_the_order_is_the_seeds_and_captions_are_drawn_for_each_step_anew():
    assert ClipOrder(9, 3, 1).candidates(5, 2) == ClipOrder(9, 3, 1).candidates(5, 2)
    assert [ClipOrder(90, 3, seed).candidates(0, 0)[0] for seed in range(4)] != [0] * 4
    drawn = [ClipOrder(9, 3, 1).draw(step, 0, 20) for step in range(60)]
    assert set(drawn) <= set(range(20))
    assert len(set(drawn)) > 10
