import json
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from pipeline.training.run_log import EVENTS, METRICS, RunLog
from pipeline.training.run_store import RunStore
from schemas.errors import StorageError


def events(folder):
    """(tag, step, value) of every scalar, and the steps from which earlier files hold no more."""
    scalars, purged = [], []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            # A record of TFRecord: length, its checksum, bytes, their checksum.
            size = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + size])
            data = data[16 + size :]
            scalars += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
            if event.HasField("session_log"):
                purged.append(event.step)
    return scalars, purged


def test_lines_and_events_say_the_same(tmp_path):
    log = RunLog(RunStore(str(tmp_path)), 0)
    log.add("train", 1, 0.5, {"loss": 2.0})
    log.add("validation", 1, 0.75, {"recall_1": 25.0})
    log.save()
    log.close()
    lines = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    assert lines == [{"step": 1, "seconds": 0.5, "loss": 2.0}, {"step": 1, "seconds": 0.8, "recall_1": 25.0}]
    assert events(tmp_path / EVENTS)[0] == [("train/loss", 1, 2.0), ("validation/recall_1", 1, 25.0)]


def test_a_run_that_goes_on_drops_what_will_come_again_and_half_written_lines(tmp_path):
    first = RunLog(RunStore(str(tmp_path)), 0)
    for step in (1, 2, 3):
        first.add("train", step, 0.0, {"loss": 1.0})
    first.close()
    with (tmp_path / METRICS).open("a") as file:
        file.write('{"step": 4, "lo')
    again = RunLog(RunStore(str(tmp_path)), 2)
    again.add("train", 3, 0.0, {"loss": 9.0})
    again.close()
    lines = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(1, 1.0), (2, 1.0), (3, 9.0)]
    assert events(tmp_path / EVENTS)[1][-1] == 3


def test_a_log_that_says_nothing_leaves_nothing(tmp_path):
    log = RunLog(RunStore(str(tmp_path)), 5)
    log.save()
    log.close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_never_a_wait(tmp_path):
    if not Path("/dev/full").is_char_device():
        pytest.skip("this system has no device that is always full")
    log = RunLog(RunStore(str(tmp_path)), 0)
    # After the log has looked for lines: reading this device never ends.
    (tmp_path / METRICS).symlink_to("/dev/full")
    with pytest.raises(StorageError, match=r"cannot write the log of .*No space left"):
        log.add("train", 1, 0.0, {"loss": 1.0})
    log.close()


def test_events_reach_the_disk_with_each_call(tmp_path):
    log = RunLog(RunStore(str(tmp_path)), 0)
    for step in (1, 2):
        log.add("train", step, 0.0, {"loss": 1.0})
        assert [scalar[1] for scalar in events(tmp_path / EVENTS)[0]] == list(range(1, step + 1))
    log.close()
