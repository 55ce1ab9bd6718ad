"""Files in the form of LSMDC's: six columns parted by tabs, no heading, no quoting."""

import pytest

from pipeline.datasets.catalog import open_dataset
from schemas.errors import InputError

TEST = "LSMDC16_challenge_1000_publictect.csv"
JUNO, UP = "1004_Juno_00.00.32.122-00.00.34.123", "1051_Up_00.01.02.100-00.01.05.900"


def line(clip, sentence):
    return f"{clip}\t00:00:32,122\t00:00:34,123\t00:00:32,122\t00:00:34,123\t{sentence}"


@pytest.fixture
def lsmdc(folder):
    folder.text("LSMDC16_annos_training.csv", line(UP, "SOMEONE smiles."), line(UP, 'He says "now", and leaves.'))
    folder.text("LSMDC16_annos_val.csv", line(UP, "SOMEONE nods."))
    folder.text(TEST, line(JUNO, "SOMEONE walks to a chair."), line(UP, "A house flies."))
    folder.videos(f"1004_Juno/{JUNO}.avi")
    return folder


def test_every_line_is_a_text_and_clips_lie_in_folders_of_their_movie(lsmdc, texts):
    opened = open_dataset(lsmdc.spec("lsmdc"), "test")
    assert texts(opened) == {JUNO: ["SOMEONE walks to a chair."]}
    assert opened.videos == ((JUNO, str(lsmdc.root / "videos" / "1004_Juno" / f"{JUNO}.avi")),)
    assert (opened.missing, opened.absent_captions) == ((UP,), 1)


def test_a_clip_of_several_lines_has_several_texts_and_quotes_stay(lsmdc, texts):
    lsmdc.videos(f"{UP}.avi")
    assert texts(open_dataset(lsmdc.spec("lsmdc"), "train")) == {UP: ["SOMEONE smiles.", 'He says "now", and leaves.']}
    assert texts(open_dataset(lsmdc.spec("lsmdc"), "val")) == {UP: ["SOMEONE nods."]}


def test_lines_that_a_spreadsheet_quoted_are_read_all_the_same(lsmdc, texts):
    lsmdc.text(TEST, '"' + line(JUNO, 'SOMEONE says ""now"", and goes.') + '"')
    assert texts(open_dataset(lsmdc.spec("lsmdc"), "test")) == {JUNO: ['SOMEONE says "now", and goes.']}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{JUNO},a,b", "line 2: 1 columns parted by tabs instead of 6"),
        (line("", "a house"), "line 2: no clip in the first column"),
    ],
)
def test_a_malformed_line_is_named(lsmdc, text, why):
    lsmdc.text(TEST, line(JUNO, "SOMEONE walks."), text)
    with pytest.raises(InputError) as caught:
        open_dataset(lsmdc.spec("lsmdc"), "test")
    assert f"{TEST}, {why}" in str(caught.value)


def test_text_of_another_encoding_is_refused(lsmdc):
    (lsmdc.root / TEST).write_bytes(line(JUNO, "caf\xe9").encode("latin-1"))
    with pytest.raises(InputError, match="is not UTF-8"):
        open_dataset(lsmdc.spec("lsmdc"), "test")
