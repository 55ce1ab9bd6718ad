import pytest

from pipeline import run_estimate
from pipeline.run_estimate import Sampled, choose_sample, estimate_run, listing_bytes, scaled
from pipeline.sources import Source
from schemas.errors import ConfigError, InputError
from schemas.run_estimate import PlanConfig
from tests.media import make_video


def sources(count, size=1000):
    return [Source(f"/v/{i:05d}.mp4", size + i, "e") for i in range(count)]


def test_a_sample_is_spread_over_the_sizes_and_holds_no_sidecar():
    listed = [*sources(100), Source("/v/a.txt", 1 << 40, "e", "not_media")]
    chosen = choose_sample(listed, 4)
    assert [source.size_bytes for source in chosen] == [1012, 1037, 1062, 1087]
    assert choose_sample(listed, 500) == sorted(sources(100), key=lambda s: s.size_bytes)


def test_a_whole_sample_scales_to_itself():
    sample = [Sampled(10, 5.0, 1, 0.1, False), Sampled(30, 7.0, 2, 0.2, False)]
    assert scaled(12.0, sample, 40, 2) == 12.0
    assert scaled(12.0, sample, 400, 20) == 120.0
    assert scaled(12.0, [Sampled(0, 1.0, 1, 0.1, False)], 0, 7) == 84.0


def test_the_listings_memory_grows_with_it():
    assert listing_bytes([]) == 0
    assert listing_bytes(sources(20_000)) == pytest.approx(10 * listing_bytes(sources(2_000)), rel=0.05)
    assert listing_bytes(sources(1)) > 200


def test_an_estimate_of_a_small_folder_is_what_it_is_and_writes_nothing(tmp_path):
    for number in range(3):
        make_video(tmp_path / f"{number}.mp4", seed=number)  # 24 frames, 12 a second
    (tmp_path / "notes.txt").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    found = estimate_run(PlanConfig(input=[str(tmp_path)], clips="fixed:1", sample=10))
    assert sorted(tmp_path.rglob("*")) == before
    assert (found.sources, found.filtered, found.sampled, found.clips, found.tasks) == (4, 1, 3, 6, 4)
    assert found.video_hours == pytest.approx(6 / 3600, abs=1e-4)
    assert (found.quarantined_share, found.reads, found.lists) == (0.0, 0, 0)
    assert found.table_bytes == pytest.approx(6 * 56_000, rel=0.1)


def test_a_video_with_more_clips_than_are_held_is_estimated_by_some(tmp_path, monkeypatch):
    monkeypatch.setattr(run_estimate, "_ANSWER_BYTES", 3 * 12 * 64 * 64 * 3)
    monkeypatch.setattr(run_estimate, "_LONG_CLIPS", 2)
    make_video(tmp_path / "long.mp4", num_frames=120)
    found = estimate_run(PlanConfig(input=[str(tmp_path)], clips="fixed:1"))
    assert (found.clips, found.quarantined_share) == (10, 0.0)
    assert found.video_hours == pytest.approx(10 / 3600, abs=1e-4)


def test_nothing_to_estimate_is_one_line(tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    with pytest.raises(InputError, match="none of the 1 sampled"):
        estimate_run(PlanConfig(input=[str(tmp_path)]))
    (tmp_path / "bad.mp4").rename(tmp_path / "bad.txt")
    with pytest.raises(InputError, match="looks like a video"):
        estimate_run(PlanConfig(input=[str(tmp_path)]))
    with pytest.raises(ConfigError, match="'clips' = 'scene'"):
        PlanConfig.of({"input": ["x"], "clips": "scene"})
