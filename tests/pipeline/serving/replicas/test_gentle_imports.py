import gc
import os
import sys
import threading
from types import SimpleNamespace

import pytest
from ray.serve.schema import ApplicationStatus

from pipeline.serving.replicas.gentle_imports import import_gently


@pytest.fixture
def heavy(tmp_path, monkeypatch):
    """A module that notes the priority at which it is imported."""
    name = "a_module_that_notes_its_priority"
    code = "import os, threading\nNICE = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())\n"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def my_nice():
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.fixture
def status_of_applications(monkeypatch):
    """Ray Serve as a worker sees it, with one application of a status that the test chooses."""

    def show(name):
        states = {} if name is None else {"reelsift": SimpleNamespace(status=ApplicationStatus[name])}
        monkeypatch.setattr("ray.serve.status", lambda: SimpleNamespace(applications=states))

    monkeypatch.setattr("ray.is_initialized", lambda: True)
    return show


@pytest.mark.parametrize("status", ["RUNNING", "UNHEALTHY"])
def test_beside_a_service_that_answers_imports_have_the_lowest_priority(heavy, status_of_applications, status):
    status_of_applications(status)
    before = my_nice()
    import_gently("no.such.module", heavy)
    found = sys.modules[heavy].NICE
    assert found == 19
    assert my_nice() == before


@pytest.mark.parametrize("status", [None, "DEPLOYING"])
def test_the_first_start_of_a_service_is_not_slowed_down(heavy, status_of_applications, status):
    status_of_applications(status)
    before = my_nice()
    import_gently(heavy)
    found = sys.modules[heavy].NICE
    assert found == before


def test_a_status_that_cannot_be_had_is_no_reason_to_give_way(heavy, status_of_applications, monkeypatch):
    def away():
        raise RuntimeError("no controller")

    status_of_applications("RUNNING")
    monkeypatch.setattr("ray.serve.status", away)
    import_gently(heavy)
    found = sys.modules[heavy].NICE
    assert found == my_nice()


def test_the_collector_works_after_imports_and_no_longer_looks_at_what_they_left(heavy, status_of_applications):
    status_of_applications(None)
    frozen = gc.get_freeze_count()
    try:
        import_gently(heavy)
        assert gc.isenabled()
        assert gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()


def test_elsewhere_nothing_is_imported_ahead(heavy, monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    import_gently(heavy)
    assert heavy not in sys.modules
