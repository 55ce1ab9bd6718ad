import json

import pytest

from jobs import status as job
from jobs.cli import run_command
from pipeline.storage import Store
from tests.jobs.wrong_use import one_line_of
from tests.tables_damage import change_row, quarantine, tasks
from tests.tables_factory import make_tables

KEYS = {"planned", "done", "filtered", "quarantined", "pending", "clips", "reasons"}


@pytest.fixture
def tables(tmp_path):
    store = Store(str(tmp_path / "tables"))
    make_tables(store)
    first, second = tasks(store)
    quarantine(store, first, 0, "timeout")
    store.delete(f"videos/{second}.parquet")
    return store.root


def test_the_table_and_the_json_line_say_the_same(tables, capsys):
    assert run_command(job.main, ["--tables", tables, "--json"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    answer = json.loads(last)
    assert answer.keys() >= KEYS
    assert answer["reasons"] == {"timeout": 1}
    shown = {line.split()[0]: line.split()[1] for line in lines}
    assert {name: shown[name] for name in ("planned", "done", "quarantined", "timeout", "pending", "clips")} == {
        name: str(answer.get(name, answer["reasons"].get(name)))
        for name in ("planned", "done", "quarantined", "timeout", "pending", "clips")
    }


def test_reasons_stand_below_what_they_add_up_to(tables, capsys):
    store = Store(tables)
    change_row(store, f"videos/{tasks(store)[0]}.parquet", 1, status="filtered", reason="linked_folder")
    assert run_command(job.main, ["--tables", tables]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names[2:6] == ["filtered", "linked_folder", "quarantined", "timeout"]


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        ((), 2, "'tables' is missing"),
        (("--tables", "nowhere"), 1, "holds no planned sources: run 'reelsift extract"),
        (("--tables", "s3:/slip"), 2, "write s3://bucket/prefix"),
    ],
)
def test_what_a_user_does_wrong_is_one_line_with_its_exit_code(argv, code, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, line = one_line_of(job.main, argv, capsys, tmp_path)
    assert found == code
    assert says in line
