import pytest
import torch

from models.config import ModelConfig, Preprocess
from models.eercf import EercfModel
from models.registry import BUNDLES, load_model
from models.vocabulary import UNKNOWN, CompactTokenizer, pieces_of, vocabulary_rows
from models.weights import WEIGHTS_FILE, save_bundle
from schemas.errors import UnknownModelError

PIECES = pieces_of(["a small red star on a striped teal background", "two hourglasses"])


ROWS = vocabulary_rows(PIECES)


def config(rows=ROWS, stem=(8, 16, 32)):
    clip = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "patch_size": 8, "head_width": 16},
        "text_cfg": {"context_length": 12, "vocab_size": rows, "width": 32, "heads": 2, "layers": 2},
    }
    return ModelConfig(clip=clip, num_frames=3, preprocess=Preprocess(image_size=32), vocabulary=PIECES, conv_stem=stem)


def test_the_end_token_has_the_largest_id_of_every_text_even_of_one_that_is_cut():
    tokens = CompactTokenizer(PIECES, 8, "x")(["a red star", "a small red star on a striped teal background", ""])
    assert tokens.shape == (3, 8)
    assert tokens.max(-1).values.tolist() == [vocabulary_rows(PIECES) - 1] * 3
    assert tokens[1, -1] == vocabulary_rows(PIECES) - 1
    assert (tokens[:, 0] == vocabulary_rows(PIECES) - 2).all()


def test_every_kept_piece_has_an_id_of_its_own_and_all_others_share_one():
    tokenizer = CompactTokenizer(PIECES, 16, "x")
    kept = tokenizer(["a small red star on striped teal background two"])[0]
    ids = kept[(kept > UNKNOWN)].tolist()
    assert len(set(ids)) == len(ids) == 11  # nine words, start and end
    assert tokenizer(["zebra crossing"])[0, 1:3].tolist() == [UNKNOWN, UNKNOWN]
    assert tokenizer.unknown_pieces("a red zebra") == ["zebra</w>"]


def test_the_order_of_the_pieces_fixes_the_ids():
    first, second = CompactTokenizer(PIECES, 8, "x"), CompactTokenizer(PIECES[::-1], 8, "x")
    assert torch.equal(first(["a red star"]), CompactTokenizer(PIECES, 8, "x")(["a red star"]))
    assert not torch.equal(first(["a red star"]), second(["a red star"]))


@pytest.mark.parametrize("pieces", [("red</w>", "red</w>"), ("no such piece",)])
def test_a_foreign_or_repeated_piece_is_named(pieces):
    with pytest.raises(UnknownModelError, match="piece"):
        CompactTokenizer(pieces, 8, "x")


def test_a_table_of_the_wrong_size_is_refused():
    with pytest.raises(UnknownModelError, match="vocab_size is 7"):
        EercfModel(config(rows=7), "x")


def test_a_stem_that_does_not_give_the_towers_grid_is_refused():
    with pytest.raises(UnknownModelError, match="patches of 8"):
        EercfModel(config(stem=(8, 16)), "x")


def test_a_half_precision_bundle_loads_as_float32_with_the_same_ids(tmp_path):
    model = EercfModel(config(), "x").eval()
    save_bundle(model, model.config, tmp_path / "half", half=True)
    save_bundle(model, model.config, tmp_path / "full")
    loaded = load_model(str(tmp_path / "half"))
    assert all(t.dtype == torch.float32 for t in loaded.state_dict().values() if t.is_floating_point())
    sizes = [(tmp_path / name / WEIGHTS_FILE).stat().st_size for name in ("half", "full")]
    assert sizes[0] < 0.6 * sizes[1]
    assert loaded.config == model.config
    texts = ["a red star", "a zebra", "two hourglasses on a striped teal background and so on and on and on"]
    # fp16 keeps 11 bits: unit vectors move by about one in a thousand.
    torch.testing.assert_close(loaded.encode_text(texts), model.encode_text(texts), atol=5e-3, rtol=0)


def test_text_without_its_padding_gives_open_clips_own_embedding():
    model = EercfModel(config(), "x").eval()
    tokens = model.tokenizer(["a red star", "a small red star"])
    expected = model.clip.encode_text(tokens, normalize=True)
    torch.testing.assert_close(model.embed_text(tokens), expected, atol=1e-5, rtol=1e-5)


def test_clips_and_patches_come_out_of_a_model_with_a_stem():
    model = EercfModel(config(), "x").eval()
    tokens = model.encode_clips(torch.zeros(2, 3, 32, 32, 3, dtype=torch.uint8), torch.ones(2, 3))
    assert tokens.patches_BFPD.shape == (2, 3, 16, 32)
    torch.testing.assert_close(tokens.frames_BFD.norm(dim=-1), torch.ones(2, 3))


def test_the_shipped_trained_bundle_stays_small():
    folder = BUNDLES / "reelsift-tiny"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 6_000_000
