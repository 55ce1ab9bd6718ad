from pipeline.datasets.protocol import held_out, train_or_val

KEYS = tuple(f"video{number}" for number in range(9000))


def test_held_out_videos_do_not_depend_on_the_order_or_on_doubles():
    assert held_out(KEYS) == held_out(tuple(reversed(KEYS))) == held_out((*KEYS, *KEYS))


def test_the_held_out_number_is_500_of_a_whole_set_and_a_tenth_of_a_small_one():
    assert len(held_out(KEYS)) == 500
    assert len(held_out(KEYS[:1000])) == 100
    assert held_out(KEYS[:9]) == frozenset()


def test_train_and_val_part_the_training_videos_in_their_order():
    train, val = train_or_val(KEYS, "train"), train_or_val(KEYS, "val")
    assert len(train) == 8500
    assert sorted((*train, *val)) == sorted(KEYS)
    assert list(train) == sorted(train, key=KEYS.index)


def test_the_held_out_videos_of_msrvtt_never_change():
    """A figure measured on them would no longer be comparable."""
    assert sorted(held_out(KEYS), key=KEYS.index)[:4] == ["video0", "video8", "video12", "video20"]
