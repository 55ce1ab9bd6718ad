from pipeline.sources import Source
from pipeline.stages.plan import new_sources, pending_tasks, plan_rows, retry_rows, split_rows, task_of
from schemas.tables import PLAN_SCHEMA


def sources(count, etag="e"):
    return [Source(f"/v/{i:03d}.mp4", 10, etag, None, {"n": i}) for i in range(count)]


def test_every_source_is_in_exactly_one_task():
    rows = plan_rows(sources(10), 3)
    assert rows.schema.equals(PLAN_SCHEMA)
    assert rows["uri"].to_pylist() == [s.uri for s in sources(10)]
    tasks = rows["task_id"].to_pylist()
    assert [tasks.count(task) for task in dict.fromkeys(tasks)] == [3, 3, 3, 1]


def test_the_last_tasks_are_small_unless_their_size_is_given():
    rows = plan_rows(sources(40))
    tasks = rows["task_id"].to_pylist()
    sizes = [tasks.count(task) for task in dict.fromkeys(tasks)]
    assert sum(sizes) == 40
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 2
    assert sizes[-3:] == [1, 1, 1]
    again = retry_rows(rows)["task_id"].to_pylist()
    assert [again.count(task) for task in dict.fromkeys(again)] == sizes
    assert not set(again) & set(tasks)


def test_the_same_listing_gives_the_same_plan():
    assert plan_rows(sources(10), 3).equals(plan_rows(sources(10), 3))
    assert plan_rows(sources(4, "other"), 4)["task_id"][0] != plan_rows(sources(4), 4)["task_id"][0]


def test_only_new_and_changed_sources_are_planned_again():
    planned = plan_rows(sources(5), 2)
    changed = Source("/v/001.mp4", 11, "newer")
    more = [*sources(1), changed, *sources(7)[2:]]
    assert [s.uri for s in new_sources(more, planned)] == ["/v/001.mp4", "/v/005.mp4", "/v/006.mp4"]


def test_committed_tasks_are_not_pending():
    rows = plan_rows(sources(5), 2)
    first = rows["task_id"][0].as_py()
    pending = pending_tasks(rows, {first})
    assert [task for task, _ in pending] == list(dict.fromkeys(rows["task_id"].to_pylist()))[1:]


def test_a_task_that_is_too_large_becomes_one_task_a_source():
    planned = plan_rows(sources(5), 3)
    large = planned["task_id"][0].as_py()
    rows = split_rows(planned, {large})
    assert rows.schema.equals(PLAN_SCHEMA)
    assert rows["uri"].to_pylist() == planned["uri"].to_pylist()[:3]
    assert rows["attempt"].to_pylist() == [1, 1, 1]
    assert len(set(rows["task_id"].to_pylist()) - {large}) == 3
    assert rows["task_id"].to_pylist() == [task_of([row]) for row in rows.to_pylist()]
