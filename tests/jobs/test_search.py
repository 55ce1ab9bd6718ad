"""The table of `reelsift search` never cuts an id, whatever the terminal."""

import io

import pytest
from rich.console import Console

from jobs.search import fits, main, plain_table, printable, rich_table
from schemas.filters import FilterError
from schemas.results import SearchHit


def hit(rank, uri="s3://bucket/a/long/folder/name/of/some/video-file.mp4", stage="fine"):
    return SearchHit(
        rank=rank, clip_id=f"c{rank:020d}", video_id="v1", uri=uri, start_s=0.0, end_s=12.5,
        best_s=3.25 if stage == "fine" else None, score=0.5, coarse_score=0.4, stage=stage,
    )  # fmt: skip


def drawn(hits, width):
    sink = io.StringIO()
    Console(file=sink, width=width, height=25, force_terminal=True, color_system=None).print(rich_table(hits))
    return sink.getvalue()


@pytest.mark.parametrize("width", range(60, 200, 7))
def test_a_terminal_of_any_width_that_fits_shows_whole_ids_and_paths(width):
    hits = [hit(rank) for rank in (1, 2, 10)]
    if not fits(hits, width):
        assert width < 80
        return
    text = drawn(hits, width)
    assert all(h.clip_id in text for h in hits)
    assert max(map(len, text.splitlines())) <= width
    header, *rows = text.splitlines()
    folded = "".join(row[header.index("file") :].strip() for row in rows)
    assert folded == "".join(each.uri for each in hits)


def test_plain_text_has_one_line_a_hit_with_the_full_path():
    hits = [hit(1), hit(2, stage="coarse")]
    lines = plain_table(hits).splitlines()
    assert len(lines) == 3
    for line, each in zip(lines[1:], hits, strict=True):
        assert each.clip_id in line.split()
        assert line.endswith(each.uri)
    assert "(0.5000)" in lines[2]
    assert lines[1].index(hits[0].uri) == lines[2].index(hits[1].uri)


def test_a_file_name_cannot_steer_the_terminal_or_the_markup():
    nasty = "a\x1b[31m[bold]red[/bold]\n.mp4"
    assert "\x1b" not in printable(nasty)
    assert "\n" not in printable(nasty)
    text = drawn([hit(1, uri=nasty)], 150)
    assert "[bold]red[/bold]" in text
    assert "\x1b[31m" not in text


def test_letters_of_other_scripts_stay():
    assert printable("vidéo-日本.mp4") == "vidéo-日本.mp4"


@pytest.mark.parametrize("text", ["", "width > 3", "[]", '{"field": "width", "op": "=>", "value": 3}'])
def test_a_filter_that_is_none_is_one_line_before_anything_is_opened(text, tmp_path):
    with pytest.raises(FilterError, match=r"^filter[^\n]*$"):
        main(["a red star", "--index", str(tmp_path / "nowhere"), "--filter", text])
