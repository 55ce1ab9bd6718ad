import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import index as job
from jobs.cli import run_command
from pipeline.storage import Store
from tests.tables_factory import make_tables

ROOT = Path(__file__).resolve().parents[2]
SUMMARY = {"version", "clips", "frame_rows", "collection", "bytes_per_clip", "codec", "alias", "live", "model_id"}
SUMMARY |= {"previous", "fine_bytes", "milvus_bytes", "created_utc"}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    from models.registry import load_model

    model = load_model("random-tiny")
    root = str(tmp_path_factory.mktemp("tables"))
    make_tables(Store(root), shape=model.token_shape, model_id=model.model_id, model=model.name)
    return root


@pytest.fixture
def run(capfd):
    """Run `reelsift index ...` in this process; gives exit code, stdout and stderr."""

    def work(*argv):
        code = run_command(job.main, [str(arg) for arg in argv])
        return code, *capfd.readouterr()

    return work


def last_json(out):
    return json.loads(out.splitlines()[-1])


def test_build_publish_and_list_tell_people_and_programs_the_same(run, tables, tmp_path):
    index = tmp_path / "index"
    code, out, err = run("build", "--tables", tables, "--index", index, "--json")
    assert code == 0
    # On a slow machine it says how far it is.
    assert [line for line in err.splitlines() if not re.match(r"reelsift: \d+/12 clips, ", line)] == []
    built = last_json(out)
    assert set(built) >= SUMMARY
    assert (built["version"], built["clips"], built["live"]) == (1, 12, False)
    assert "version 1 (not live): 12 clips" in out
    assert f"{built['frame_rows']} frame vectors" in out
    assert out.startswith("frame vectors: yes (up to 144 rows; --frames no leaves them out)\n")
    # The printed next command is one that works.
    (following,) = [line for line in out.splitlines() if line.startswith("next: reelsift index ")]
    code, out, err = run(*following.removeprefix("next: reelsift index ").split(), "--json")
    assert (code, err) == (0, "")
    assert last_json(out) == built | {"live": True, "canaries": None}
    assert "checked: files, counts in Milvus, 12 clips found by their own vectors" in out
    assert f'next: reelsift search "a text" --index {index}' in out
    run("build", "--tables", tables, "--index", index, "--codec", "fp32")
    code, out, err = run("list", "--index", index, "--json")
    assert (code, err) == (0, "")
    assert last_json(out)["versions"][0] == built | {"live": True}
    assert [line.split(":")[0] for line in out.splitlines()[:2]] == ["version 1 (live)", "version 2 (not live)"]


def test_an_older_version_is_published_again(run, tables, tmp_path):
    index = tmp_path / "index"
    for _ in range(2):
        run("build", "--tables", tables, "--index", index)
    for argv, version in (((), 2), (("--version", "1"), 1)):
        code, out, _ = run("publish", "--index", index, *argv, "--json")
        assert (code, last_json(out)["version"]) == (0, version)


def test_rollback_and_gc_say_what_they_did(run, tables, tmp_path):
    index = tmp_path / "index"
    for _ in range(3):
        run("build", "--tables", tables, "--index", index, "--frames", "no")
    for version in (3, 2):
        run("publish", "--index", index, "--version", version)
    code, out, err = run("rollback", "--index", index, "--json")
    assert (code, err) == (0, "")
    assert out.startswith("rolled back from version 2 to version 3\nversion 3 (live): ")
    assert (last_json(out)["version"], last_json(out)["replaced"]) == (3, 2)
    code, out, _ = run("rollback", "--index", index, "--version", 3)
    assert (code, out.splitlines()[0]) == (0, "version 3 is live already: nothing changed")
    _, out, _ = run("list", "--index", index)
    assert [line.split(":")[0] for line in out.splitlines()] == [
        "version 1 (not live)",
        "version 2 (live before)",
        "version 3 (live)",
    ]
    for flags, verb in ((("--dry-run",), "would remove"), ((), "removed")):
        code, out, err = run("gc", "--index", index, "--keep", 1, *flags, "--json")
        assert (code, err) == (0, "")
        assert out.startswith(f"{verb} versions: 1 (kept: 2, 3); {last_json(out)['fine_bytes']} bytes of files, ")
        assert (last_json(out)["removed"], last_json(out)["dry_run"]) == ([1], bool(flags))
    assert sorted(os.listdir(index / "versions")) == ["2", "3"]


def test_update_and_delete_say_what_they_did(run, tables, tmp_path):
    copy, index = tmp_path / "tables", tmp_path / "index"
    shutil.copytree(tables, copy)
    common = ("--tables", copy, "--index", index)
    run("build", *common, "--frames", "no")
    run("publish", "--index", index)
    code, out, err = run("update", *common, "--json")
    assert (code, err) == (0, "")
    assert out.startswith("version 1 is up to date at revision 1: 12 clips in 1 shards\n")
    for flags, verb in ((("--dry-run",), "would delete"), ((), "deleted")):
        code, out, err = run("delete", *common, "--uri", "*1.mp4", *flags, "--json")
        assert (code, err) == (0, "")
        assert f"{verb} 1 videos (0 more were deleted before): 3 clips of the tables, 3 of version 1 (" in out
        assert (last_json(out)["clips"], last_json(out)["dry_run"]) == (6, bool(flags))
    code, out, _ = run("delete", *common, "--where", "uri=/videos/s0-0001.mp4")
    assert (code, out) == (0, "deleted already: 1 videos; nothing was left to do\n")
    for argv, says in (
        (("--video-id", "v0"), "has no video v0"),
        ((), "say which videos: --video-id, --uri or --where"),
    ):
        code, out, err = run("delete", *common, *argv)
        assert (code, out) == (2, "")
        assert says in err
    assert run("update", *common, "--version", 7)[0] == 1


@pytest.mark.parametrize("word", ["no", "false"])
def test_frame_vectors_are_left_out_by_a_config_file_as_by_a_flag(run, tables, tmp_path, word):
    (tmp_path / "build.yaml").write_text(f"tables: {tables}\nindex: {tmp_path / 'index'}\nframes: {word}\n")
    code, out, err = run("build", "--config", tmp_path / "build.yaml", "--json")
    assert (code, last_json(out)["frame_rows"], err) == (0, 0, "")


def test_an_index_without_versions_lists_none(run, tmp_path):
    (tmp_path / "index.json").write_text('{"id": "1f"}')
    code, out, err = run("list", "--index", tmp_path, "--json")
    assert (code, last_json(out), err) == (0, {"versions": []}, "")
    (tmp_path / "live.json").write_text('{"version": 3}')
    code, out, err = run("list", "--index", tmp_path)
    assert (code, err) == (0, "")
    assert out.startswith(f"{tmp_path}/live.json names version 3, which is not there ({tmp_path} has: none): ")


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        ((), 2, "no command; one of: index build"),
        (("rebuild",), 2, "unknown command 'index rebuild'"),
        (("build",), 2, "'tables' is missing"),
        (("codecs",), 2, "'tables' is missing"),
        (("codecs", "--tables", "T", "--codec", "pooled-0"), 2, "'codecs.0' = 'pooled-0'"),
        (("codecs", "--tables", "T", "--max-loss", "-1"), 2, "'max_loss' = -1.0"),
        (("codecs", "--tables", "no-such-folder"), 1, "holds no tables: run 'reelsift extract"),
        (("build", "--tables", "T"), 2, "'index' is missing"),
        (("build", "--tables", "T", "--index", "I", "--codec", "int3"), 2, "'codec' = 'int3'"),
        (("build", "--tables", "T", "--index", "I", "--frames", "some"), 2, "'frames' = 'some'"),
        (("build", "--tables", "T", "--index", "I", "--milvus", "there"), 2, "'there' is no address"),
        (("build", "--tables", "T", "--index", "s3://b/i"), 2, "give --milvus http://host:port"),
        (("build", "--tables", "nowhere", "--index", "I"), 1, "run 'reelsift extract"),
        (("publish", "--index", "nowhere"), 1, "holds no version to publish"),
        (("publish", "--index", "nowhere", "--version", "2"), 1, "has no version 2; it has: none"),
        (("publish", "--index", "nowhere", "--version", "0"), 2, "'version' = 0"),
        (("publish", "--index", "nowhere", "--min-overlap", "2"), 2, "'min_overlap' = 2.0"),
        (("build", "--tables", "T", "--index", "I", "--index-type", "hnsw"), 2, "'index_type' = 'hnsw'"),
        (("publish", "--index", "I", "--tables", "T"), 2, "--tables"),
        (("list", "--index", "I", "extra"), 2, "extra"),
        (("rollback", "--index", "nowhere"), 1, "has no published version"),
        (("rollback", "--index", "I", "--version", "0"), 2, "'version' = 0"),
        (("gc", "--index", "nowhere"), 1, "holds no index"),
        (("list", "--index", "nowhere"), 1, "holds no index: run 'reelsift index build"),
        (("gc", "--index", "I", "--keep", "-1"), 2, "'keep' = -1"),
    ],
)
def test_what_a_user_does_wrong_is_one_line_with_its_exit_code(run, tmp_path, monkeypatch, argv, code, says):
    monkeypatch.chdir(tmp_path)
    found, out, err = run(*argv)
    assert (found, out) == (code, "")
    assert err.startswith("reelsift: error: ")
    assert err.count("\n") == 1
    assert says in err
    assert list(tmp_path.iterdir()) == []


def test_help_names_each_command_with_its_example(run):
    code, out, _ = run("--help")
    assert code == 0
    for parser in job.parsers().values():
        assert f"usage: {parser.prog}" in out
        assert parser.epilog in out


def test_progress_goes_to_stderr(run, tables, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "_PROGRESS_EVERY_S", 0.0)
    code, out, err = run("build", "--tables", tables, "--index", tmp_path / "index", "--set", "batch_rows=5")
    assert code == 0
    assert "reelsift: 5/12 clips, " in err
    assert "/s: writing clips" in err
    assert "making the FLAT index of clips" in err
    assert "making the FLAT index of frames" in err
    assert "writing" not in out


def test_listing_does_not_wait_for_torch():
    code = "import sys, jobs.index; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=120).returncode == 0


def test_an_interrupted_build_says_how_to_go_on_and_leaves_nothing(tables, tmp_path):
    argv = ["build", "--tables", tables, "--index", str(tmp_path / "index"), "--set", "batch_rows=1"]
    # The build interrupts itself, where a person would press the keys.
    script = (
        "import os, signal, sys, jobs.index as job, jobs.cli as cli\n"
        # Where the tests themselves run in the background, keys are ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "job._reporter = lambda: lambda *_: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.exit(cli.run_command(job.main, sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *argv], cwd=ROOT, check=False, timeout=240, capture_output=True, text=True
    )
    assert done.returncode == 128 + signal.SIGINT
    assert "version" not in done.stdout
    assert done.stderr.splitlines() == ["reelsift: interrupted; run the same command again to go on"]
    assert os.listdir(tmp_path / "index" / "versions") == []
