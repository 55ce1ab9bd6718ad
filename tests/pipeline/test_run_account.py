import json

import pytest

from pipeline.run_account import MOST_POINTS, Pace, RunAccount, render_run, write_report
from pipeline.stages.commit import run_notes
from pipeline.storage import Store
from schemas.run_report import RunReport


def row(done=0, quarantined=0, error="", videos=(), **busy):
    counts = {"done": done, "filtered": 0, "quarantined": quarantined}
    return counts | {"error": error, "busy_s": json.dumps(busy), "notes": json.dumps(run_notes(videos))}


def video(uri, seconds, reason=None):
    return {"uri": uri, "decode_s": seconds, "reason": reason, "status": "quarantined" if reason else "done"}


def test_pace_keeps_every_source_however_long_the_run():
    pace = Pace()
    for second in range(5000):
        pace.add(float(second), 2)
    assert sum(pace.counts) == 10_000
    assert len(pace.counts) <= MOST_POINTS
    assert pace.stretch_s == 64.0
    assert pace.counts[0] == 128


def test_a_run_is_counted_by_status_reason_stage_and_slowest_file():
    account = RunAccount()
    account.pools({"decode": 2, "encode": 1})
    account.add(row(done=2, videos=[video("a", 1.0), video("b", 9.0)], decode=10.0, encode=1.0))
    account.add(row(done=0, quarantined=1, videos=[video("c", 60.0, "timeout")], decode=60.0, encode=0.5))
    account.add(row(error="commit: StorageError: away", decode=5.0))
    report = account.report(5 << 30, 6 << 30)
    assert (report.done, report.quarantined, report.failed_tasks, report.reasons) == (2, 1, 1, {"timeout": 1})
    assert [(file.uri, file.outcome) for file in report.slowest] == [("c", "timeout"), ("b", "done"), ("a", "done")]
    assert [(stage.stage, stage.busy_s) for stage in report.stages] == [("decode", 75.0), ("encode", 1.5)]
    assert sum(report.sources_a_stretch) == 3


def test_only_the_slowest_files_are_kept():
    account = RunAccount()
    for number in range(100):
        account.add(row(done=1, videos=[video(f"{number}", float(number))]))
    assert [file.uri for file in account.report(0, None).slowest] == [str(number) for number in range(99, 79, -1)]


def test_both_forms_are_written_and_values_are_escaped(tmp_path):
    account = RunAccount()
    account.add(row(done=1, videos=[video("/v/<script>alert(1)</script>.mp4", 2.0)]))
    report = account.report(1 << 30, None)
    store = Store(str(tmp_path))
    write_report(store, report)
    assert RunReport.model_validate_json(store.read(f"runs/{report.run_id}.json")) == report
    page = store.read(f"runs/{report.run_id}.html").decode()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page


@pytest.mark.parametrize("error", ["", "3 of 5 tasks were not committed"])
def test_an_empty_run_has_a_page_too(error):
    account = RunAccount()
    account.error = error
    assert error in render_run(account.report(0, None))
