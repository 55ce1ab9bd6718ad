"""Which index the vectors of a collection get, by how many there are, by memory, and by what this Milvus has.

Sizes are per row of D float32 numbers. A graph holds the vectors and about 2 M links of 4 bytes; SQ8 a byte a number;
DISKANN keeps the vectors on disk. What Milvus lays out beside them is in `pipeline/index/sizing.py`, measured.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from schemas.errors import UsageError
from schemas.manifest import IndexParams

FLAT, HNSW, IVF_FLAT, IVF_SQ8, IVF_RABITQ, DISKANN = "FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8", "IVF_RABITQ", "DISKANN"
INDEX_TYPES: Final = (FLAT, HNSW, IVF_FLAT, IVF_SQ8, IVF_RABITQ, DISKANN)
# Up to here a scan is as fast as a graph, and exact.
FLAT_MAX_ROWS: Final = 20_000
# What searches use on a version that was built before its parameters were kept. 200, not the usual 64: at 64 a graph
# of 100,000 loses a tenth of the best 50.
FIRST_EF: Final = 200
_M, _EF_CONSTRUCTION = 16, 100
_LINK_BYTES = 4.4  # with the upper layers of the graph
_MAX_NLIST = 4096  # a segment of a server holds some 100,000 rows, however many the collection has
_MAX_EF, _MAX_REFINE = 12_800, 64
# Milvus takes no more.
_EF_LIMIT = 32_768
_WIDTHS = frozenset({"ef", "search_list"})
_EVERYWHERE = (FLAT, HNSW, IVF_FLAT, IVF_SQ8)
_RELEASE = re.compile(r"v?(\d+)\.(\d+)")
_GIB = 1 << 30


@dataclass(frozen=True)
class IndexChoice:
    """An index: its type, what it is built with, what a search begins with, and the reason in words."""

    index_type: str
    params: IndexParams
    search: dict[str, int]
    why: str


def types_of(version: str) -> tuple[str, ...]:
    """The index types that a Milvus has, by what it says its version is.

    The server that PyPI has ("-lite") is built without DISKANN, and would try for ever to make one.

    >>> types_of("milvus_lite-3.2.2") == types_of("v2.3.5-lite") == ("FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8")
    True
    >>> types_of("v2.4.1")[4:], types_of("v2.6.0")[4:]
    (('DISKANN',), ('DISKANN', 'IVF_RABITQ'))
    """
    match = _RELEASE.match(version)
    release = (int(match[1]), int(match[2])) if match and "lite" not in version else (0, 0)
    return _EVERYWHERE + (DISKANN,) * (release >= (2, 4)) + (IVF_RABITQ,) * (release >= (2, 6))


def memory_bytes(index_type: str, dim: int) -> float:
    """Bytes a row that a search needs in memory.

    >>> memory_bytes("FLAT", 512), round(memory_bytes("HNSW", 512)), memory_bytes("IVF_SQ8", 512)
    (2048, 2189, 512)
    """
    return {
        FLAT: 4 * dim,
        IVF_FLAT: 4 * dim,
        HNSW: 4 * dim + 2 * _M * _LINK_BYTES,
        IVF_SQ8: dim,
        IVF_RABITQ: dim / 8 + dim,  # with the SQ8 copy that refines
        DISKANN: dim / 2,  # its product-quantised codes, at the default budget
    }[index_type]


def choose_index(setting: str, rows: int, dim: int, memory_gb: float, version: str) -> IndexChoice:
    """The index of a collection.

    Args:
        setting: an index type, or "auto": FLAT up to 20,000 rows; else HNSW, and where that needs too much memory
            IVF_SQ8, and where that does too, DISKANN if this Milvus has it.
        rows: how many.
        dim: D.
        memory_gb: GiB that Milvus may use for these vectors.
        version: what Milvus says it is.

    Raises:
        UsageError: this Milvus has no such index.

    >>> choose_index("auto", 20_000, 512, 16, "v2.6.0").index_type
    'FLAT'
    >>> choose_index("auto", 1_000_000, 512, 16, "v2.6.0").why
    'HNSW needs 2.0 GiB of 16'
    >>> choose_index("auto", 10_000_000, 512, 16, "v2.6.0").why
    'IVF_SQ8 needs 4.8 GiB of 16, HNSW 20.4'
    >>> choose_index("auto", 50_000_000, 512, 16, "v2.6.0").why
    'DISKANN needs 11.9 GiB of 16, IVF_SQ8 23.8'
    >>> choose_index("auto", 50_000_000, 512, 16, "v2.3.5-lite").why
    'IVF_SQ8 needs 23.8 GiB, more than the 16 of index_memory_gb: nothing that this Milvus has needs less'
    """
    if setting != "auto":
        check_index_type(setting, version)
        return _chosen(setting, rows, "as asked")
    needs = {kind: rows * memory_bytes(kind, dim) / _GIB for kind in (HNSW, IVF_SQ8, DISKANN)}
    if rows <= FLAT_MAX_ROWS:
        return _chosen(FLAT, rows, f"exact, and quick up to {FLAT_MAX_ROWS} rows")
    if needs[HNSW] <= memory_gb:
        return _chosen(HNSW, rows, f"HNSW needs {needs[HNSW]:.1f} GiB of {memory_gb:g}")
    if needs[IVF_SQ8] <= memory_gb:
        return _chosen(
            IVF_SQ8, rows, f"IVF_SQ8 needs {needs[IVF_SQ8]:.1f} GiB of {memory_gb:g}, HNSW {needs[HNSW]:.1f}"
        )
    if DISKANN in types_of(version):
        why = f"DISKANN needs {needs[DISKANN]:.1f} GiB of {memory_gb:g}, IVF_SQ8 {needs[IVF_SQ8]:.1f}"
        return _chosen(DISKANN, rows, why)
    return _chosen(
        IVF_SQ8,
        rows,
        f"IVF_SQ8 needs {needs[IVF_SQ8]:.1f} GiB, more than the {memory_gb:g} of index_memory_gb: nothing that this "
        "Milvus has needs less",
    )


def check_index_type(setting: str, version: str) -> None:
    """Refuse an index type that a Milvus does not have.

    Raises:
        UsageError: it has not.
    """
    known = types_of(version)
    if setting != "auto" and setting not in known:
        raise UsageError(f"Milvus {version} has no {setting} index: --index-type auto, or one of {', '.join(known)}")


def raised(search: Mapping[str, int], params: IndexParams) -> dict[str, int] | None:
    """Search parameters that find more and cost twice as much; None when there are none.

    >>> raised({"ef": 200}, {"M": 16}), raised({"nprobe": 96}, {"nlist": 128}), raised({"nprobe": 128}, {"nlist": 128})
    ({'ef': 400}, {'nprobe': 128}, None)
    """
    largest = {"nprobe": int(params.get("nlist", 1)), "ef": _MAX_EF, "search_list": _MAX_EF, "refine_k": _MAX_REFINE}
    more = {name: min(2 * value, max(value, largest[name])) for name, value in search.items()}
    return more if more != dict(search) else None


def at_depth(search: Mapping[str, int], limit: int) -> dict[str, int]:
    """Search parameters for an answer of `limit` rows: a graph must be walked at least as wide as it answers.

    >>> at_depth({"ef": 200}, 50), at_depth({"ef": 200}, 1000), at_depth({"nprobe": 64}, 1000)
    ({'ef': 200}, {'ef': 2000}, {'nprobe': 64})
    """
    wide = {name: min(max(value, 2 * limit), _EF_LIMIT) for name, value in search.items() if name in _WIDTHS}
    return {**search, **wide}


def standard_params(index_type: str, rows: int) -> IndexParams:
    """What an index of so many rows is built with.

    >>> standard_params("IVF_SQ8", 100_000), standard_params("IVF_FLAT", 10)
    ({'nlist': 1024}, {'nlist': 16})
    """
    if index_type in (FLAT, DISKANN):
        return {}
    if index_type == HNSW:
        return {"M": _M, "efConstruction": _EF_CONSTRUCTION}
    # About four times the root of the rows, as a power of two.
    nlist = min(max(16, 1 << int(math.log2(4 * math.sqrt(max(rows, 1))))), _MAX_NLIST)
    refined: IndexParams = {"refine": "true", "refine_type": "SQ8"} if index_type == IVF_RABITQ else {}
    return {"nlist": nlist, **refined}


def _chosen(index_type: str, rows: int, why: str) -> IndexChoice:
    params = standard_params(index_type, rows)
    first = {HNSW: {"ef": FIRST_EF}, DISKANN: {"search_list": FIRST_EF}, FLAT: {}}
    probing = {"nprobe": max(1, int(params.get("nlist", 0)) // 16)}
    search = first.get(index_type, probing)
    return IndexChoice(index_type, params, search | ({"refine_k": 2} if index_type == IVF_RABITQ else {}), why)
