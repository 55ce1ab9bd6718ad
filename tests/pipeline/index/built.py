"""What a build has made, for tests to look into."""

import os

import numpy as np

from pipeline.index.fine_store import FineStore
from pipeline.index.vector_store import VectorStore
from pipeline.index.versions import read_manifest, version_store


def opened(index, version=1):
    manifest = read_manifest(index, version)
    return manifest, VectorStore.open(manifest.milvus, index.root), FineStore(version_store(index, version), manifest)


def collections(index):
    vectors = VectorStore.open("lite", index.root)
    found = vectors.collections()
    vectors.close()
    return found


def frames_of(clip):
    return int(np.sum(clip["mask"]))


def both(collection):
    return [collection, f"{collection}_frames"]


def folders(index):
    return sorted(os.listdir(index.path("versions")))
