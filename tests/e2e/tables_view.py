"""TABLES as plain pyarrow sees them, without a line of our readers."""

import hashlib

import fsspec
import numpy as np
import pyarrow.parquet as pq


class TablesView:
    """The objects of a local folder or s3:// prefix."""

    def __init__(self, root):
        self.root = str(root)
        scheme = self.root.split("://")[0] if "://" in self.root else "file"
        self.fs = fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True)

    def rows(self, folder):
        rows = []
        for name in sorted(self.fs.find(f"{self.root}/{folder}")):
            with self.fs.open(name, "rb") as file:
                rows += pq.read_table(file).to_pylist()
        return rows

    def digests(self):
        return {name: hashlib.sha256(self.fs.cat_file(name)).hexdigest() for name in sorted(self.fs.find(self.root))}

    def statuses(self):
        """{file name: (status, reason)}; a source with two rows is an error."""
        found = {}
        for row in self.rows("videos"):
            name = row["uri"].rsplit("/", 1)[-1]
            assert name not in found, f"{name} is in videos/ twice"
            found[name] = (row["status"], row["reason"])
        return found

    def clips(self):
        rows = {}
        for row in self.rows("clips"):
            assert row["clip_id"] not in rows, "a clip twice"
            rows[row["clip_id"]] = row
        return rows


def assert_same_clips(a, b):
    """Same ids, same rows, vectors equal to 1e-3."""
    assert a.keys() == b.keys()
    for clip, row in a.items():
        other = b[clip]
        np.testing.assert_allclose(row["coarse"], other["coarse"], atol=1e-3)
        for name in ("frames", "temporal_frames", "patches"):
            x, y = (np.frombuffer(r[name], np.float16).astype(np.float32) for r in (row, other))
            np.testing.assert_allclose(x, y, atol=2e-3)
        plain = {"coarse", "frames", "temporal_frames", "patches"}
        assert {k: v for k, v in row.items() if k not in plain} == {k: v for k, v in other.items() if k not in plain}
