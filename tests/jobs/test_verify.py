import json
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import verify as job
from jobs.cli import run_command
from pipeline.storage import Store
from tests.jobs.wrong_use import one_line_of
from tests.tables_damage import tasks
from tests.tables_factory import make_tables

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tables(tmp_path):
    store = Store(str(tmp_path / "tables"))
    make_tables(store)
    return store


def test_whole_tables_end_with_0_and_ok(tables, capsys):
    assert run_command(job.main, ["--tables", tables.root, "--json"]) == 0
    line, last = capsys.readouterr().out.splitlines()
    assert line == "ok: 4 planned sources, 4 objects, 12 clips; 0 orphans"
    answer = json.loads(last)
    assert (answer["ok"], answer["problems"]) == (True, [])


def test_problems_end_with_1_each_in_a_line_and_all_in_json(tables, capsys, monkeypatch):
    for task in tasks(tables):
        tables.delete(f"clips/{task}.parquet")
    tables.write("clips/notes.txt", b"mine")
    monkeypatch.setattr(job, "_SHOWN", 1)
    assert run_command(job.main, ["--tables", tables.root, "--json"]) == 1
    first, more, orphan, line, last = capsys.readouterr().out.splitlines()
    assert first in [f"problem: clips/{task}.parquet: is missing" for task in tasks(tables)]
    assert more == "problem: and 1 more (--json has all)"
    assert orphan == "orphan: clips/notes.txt: not an object of these tables"
    assert line.startswith("2 problems: 4 planned sources")
    assert len(json.loads(last)["problems"]) == 2


def test_progress_goes_to_stderr(tables, capsys, monkeypatch):
    monkeypatch.setattr("jobs.progress._EVERY_S", 0.0)
    assert run_command(job.main, ["--tables", tables.root]) == 0
    assert "reelsift: 2/2 tasks checked" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        ((), 2, "'tables' is missing"),
        (("--tables", "nowhere"), 1, "holds no tables: run 'reelsift extract"),
        (("--tables", "T", "--index"), 2, "--index"),
    ],
)
def test_what_a_user_does_wrong_is_one_line_with_its_exit_code(argv, code, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, line = one_line_of(job.main, argv, capsys, tmp_path)
    assert found == code
    assert says in line


def test_accounts_wait_for_neither_torch_nor_ray(tables):
    code = (
        "import sys; from jobs import status, verify;"
        f"status.main(['--tables', {tables.root!r}]); verify.main(['--tables', {tables.root!r}]);"
        "sys.exit(' '.join({'torch', 'ray', 'pymilvus'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=120, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
