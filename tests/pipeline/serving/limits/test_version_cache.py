"""A version is loaded once, stays while it is held, and goes when newer ones replaced it."""

import threading

import pytest

from pipeline.serving.limits.version_cache import VersionCache


class Recorder:
    def __init__(self, fail_first=False):
        self.loaded = []
        self.closed = []
        self.fail_first = fail_first

    def load(self, version):
        self.loaded.append(version)
        if self.fail_first and len(self.loaded) == 1:
            raise KeyError(version)
        return f"v{version}"

    def cache(self, keep=2):
        return VersionCache(self.load, self.closed.append, keep)


def use(cache, *versions):
    for version in versions:
        with cache.hold(version) as value:
            assert value == f"v{version}"


def test_a_version_is_loaded_once():
    recorder = Recorder()
    use(recorder.cache(), 1, 1, 2, 1, 2)
    assert recorder.loaded == [1, 2]
    assert recorder.closed == []


def test_the_version_unused_for_longest_goes_first():
    recorder = Recorder()
    cache = recorder.cache()
    use(cache, 1, 2, 1, 3)
    assert recorder.closed == ["v2"]
    assert cache.versions() == [1, 3]


def test_a_held_version_stays_until_it_is_let_go():
    recorder = Recorder()
    cache = recorder.cache()
    with cache.hold(1) as value:
        use(cache, 2, 3, 4)
        assert "v1" not in recorder.closed
        assert value == "v1"
    assert recorder.closed == ["v2", "v1"]


def test_a_failed_load_is_tried_again():
    recorder = Recorder(fail_first=True)
    cache = recorder.cache()
    with pytest.raises(KeyError):
        use(cache, 1)
    use(cache, 1)
    assert recorder.loaded == [1, 1]
    assert cache.versions() == [1]


def test_loading_one_version_does_not_stop_the_others():
    gate = threading.Event()
    entered = threading.Event()

    def load(version):
        if version == 2:
            entered.set()
            assert gate.wait(30)
        return f"v{version}"

    cache = VersionCache(load, lambda _: None)
    use(cache, 1)
    slow = threading.Thread(target=use, args=(cache, 2), daemon=True)
    slow.start()
    assert entered.wait(30)
    use(cache, 1)  # would hang if loads were serialised
    gate.set()
    slow.join(30)
    assert sorted(cache.versions()) == [1, 2]


def test_threads_share_one_load():
    recorder = Recorder()
    cache = recorder.cache()
    threads = [threading.Thread(target=use, args=(cache, 1), daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert recorder.loaded == [1]


def test_closing_releases_every_version():
    recorder = Recorder()
    cache = recorder.cache()
    use(cache, 1, 2)
    cache.close()
    assert sorted(recorder.closed) == ["v1", "v2"]
