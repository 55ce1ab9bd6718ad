"""An evaluation as a user runs it: generated videos, one of them broken and one lost, then the same again."""

import json

import pytest

from tests.e2e.cli import run

VIDEOS = 8
WAYS = ["coarse", "two_stage", "exhaustive"]
FIGURES = {"R@1", "R@5", "R@10", "R@50", "MdR", "MnR"}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    from pipeline.synthetic.dataset import make_dataset
    from schemas.data_config import DataConfig

    root = tmp_path_factory.mktemp("evaluate")
    data = root / "data"
    settings = {"size_px": 64, "min_seconds": 4, "max_seconds": 4, "test_fraction": 1.0, "val_fraction": 0.0}
    make_dataset(DataConfig.of({"out": str(data), "videos": VIDEOS, "event_frames": [1, 4], **settings}))
    (data / "videos" / "000003.mp4").write_bytes(b"no video at all")
    (data / "videos" / "000005.mp4").unlink()
    args = (
        "--data",
        data,
        "--model",
        "reelsift-tiny",
        "--out",
        root / "out",
        "--json",
        "--set",
        "max_bad_fraction=0.5",
    )
    first = run("evaluate", *args, "--dsl")
    assert first.code == 0, first.err
    return root, args, first


def test_the_json_line_has_every_way_in_both_directions_and_for_each_group(evaluated):
    line = evaluated[2].json
    assert (line["queries"], line["clips"]) == (3 * (VIDEOS - 2), VIDEOS - 2)
    assert list(line["groups"]) == ["gist", "needle"]
    assert [group["queries"] for group in line["groups"].values()] == [VIDEOS - 2, 2 * (VIDEOS - 2)]
    assert set(line["tags"]["event_frames"]) == {"1", "4"}
    for one in (line, *line["groups"].values()):
        for direction in ("t2v", "v2t"):
            assert set(one[direction]) >= set(WAYS)
            assert all(set(one[direction][way]) == FIGURES for way in WAYS)
    assert all(line["macs"][way] > 0 and line["seconds"][way] > 0 for way in WAYS)
    # Fifty candidates are all clips of so small a set.
    assert line["t2v"]["two_stage"] == line["t2v"]["exhaustive"]
    # The shipped model knows these scenes; six clips are few to choose from.
    assert line["groups"]["gist"]["t2v"]["exhaustive"]["R@5"] == 100.0


def test_broken_and_lost_videos_are_counted_named_and_count_as_misses_beside_the_headline(evaluated):
    root, _, first = evaluated
    line, report = first.json, json.loads((root / "out" / "report.json").read_text())
    assert (line["missing"], line["quarantined"], line["absent_captions"]) == (1, 1, 6)
    assert report["absent"]["names"] == {"videos/000005.mp4": "no file", "videos/000003.mp4": "not_a_video"}
    share = (VIDEOS - 2) / VIDEOS
    for way in WAYS:
        expected = report["overall"]["t2v"][way]["R@10"] * share
        assert report["absent"]["t2v_with_misses"][way]["R@10"] == pytest.approx(expected, abs=0.02)


def test_report_and_page_show_the_sweep_the_costs_and_frames_of_the_worst_queries(evaluated):
    out = evaluated[0] / "out"
    report, page = json.loads((out / "report.json").read_text()), (out / "report.html").read_text()
    for one in (report["overall"], *report["groups"].values(), *report["tags"]["event_frames"].values()):
        assert set(one["sweep"]) == {"coarse", "frames", "both"}
        assert all(set(by_k) >= {"1", "50", "200"} for by_k in one["sweep"].values())
    assert [round(row["ratio"], 1) for row in report["paper"]] == [13.8, 38.8, 20.4, 125.9]
    assert page.count("data:image/jpeg;base64,") == 2 * len(report["worst"])
    assert set(report["dsl"]["t2v"]) == {"coarse", "exhaustive"}
    assert "offline only" in page
    lines = [json.loads(line) for line in (out / "queries.jsonl").read_text().splitlines()]
    assert [line["ranks"]["exhaustive"] <= VIDEOS for line in lines] == [True] * report["queries"]


def test_a_second_run_decodes_nothing_and_finds_the_same(evaluated):
    _, args, first = evaluated
    again = run("evaluate", *args)
    assert again.code == 0, again.err
    assert again.json["processed"] == 0 < first.json["processed"]
    assert {key: again.json[key] for key in ("t2v", "v2t", "groups")} == {
        key: first.json[key] for key in ("t2v", "v2t", "groups")
    }


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--split", "train"), "allow_train"),
        (("--recall", "luck"), "recall"),
        (("--set", 'extract={"model": "x"}'), "decided by evaluate itself"),
        (("--split", "holdout"), "holdout"),
        (("--out", "s3://bucket/x"), "local folder"),
    ],
)
def test_a_wrong_setting_is_one_line(evaluated, tmp_path, args, says):
    from jobs.evaluate import main
    from schemas.errors import ReelsiftError

    data = str(evaluated[0] / "data")
    with pytest.raises(ReelsiftError, match=says) as caught:
        main(["--data", data, "--out", str(tmp_path / "out"), *args])
    assert "\n" not in str(caught.value)
