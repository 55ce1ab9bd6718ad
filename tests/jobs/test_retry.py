import json

import pytest

from jobs import retry as job
from jobs.cli import run_command
from pipeline.storage import Store
from tests.jobs.wrong_use import one_line_of
from tests.tables_damage import quarantine, tasks
from tests.tables_factory import make_tables


@pytest.fixture
def tables(tmp_path):
    store = Store(str(tmp_path / "tables"))
    make_tables(store)
    quarantine(store, tasks(store)[0], 0, "crash")
    return store.root


def test_people_and_programs_are_told_how_many_and_what_to_do_next(tables, capsys):
    assert run_command(job.main, ["--tables", tables, "--json"]) == 0
    first, following, last = capsys.readouterr().out.splitlines()
    assert first == "1 sources are pending again (1 crash)"
    assert following == f"next: reelsift extract --input INPUT --tables {tables}"
    assert json.loads(last) == {"retried": 1, "reasons": {"crash": 1}}


def test_nothing_to_retry_is_said_and_is_no_failure(tables, capsys):
    assert run_command(job.main, ["--tables", tables, "--reason", "empty", "--json"]) == 0
    line, last = capsys.readouterr().out.splitlines()
    assert line == "nothing to retry: no quarantined source has the reason empty"
    assert json.loads(last) == {"retried": 0, "reasons": {}}


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        ((), 2, "'tables' is missing"),
        (("--tables", "nowhere"), 1, "holds no tables: run 'reelsift extract"),
        (("--tables", "T", "--reason", "slow"), 2, "'reason' = 'slow'"),
        (("--tables", "T", "--reason", "bad_name"), 2, "rename the file"),
    ],
)
def test_what_a_user_does_wrong_is_one_line_with_its_exit_code(argv, code, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, line = one_line_of(job.main, argv, capsys, tmp_path)
    assert found == code
    assert says in line
