import os
import sys
import threading

import pytest

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


def test_a_worker_of_ray_imports_at_low_priority_and_keeps_its_own(heavy, monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    before = my_nice()
    import_gently("no.such.module", heavy)
    found = sys.modules[heavy].NICE
    assert found == min(19, before + 10)
    assert my_nice() == before


def test_elsewhere_nothing_is_imported_ahead(heavy, monkeypatch):
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    import_gently(heavy)
    assert heavy not in sys.modules
