"""Dot products of stored tokens with texts, compiled for the CPU at hand (numba).

A number is widened to float32 in a register, on its way from memory to the multiplier: nothing is inflated, and
reading the tokens once is all that a score costs. The kernels release the GIL. What a pair gets depends on it alone.

Shapes: B clips, R numbers in a record, Q texts, P pairs of a text and a clip, N tokens of a clip, D channels.
"""

from collections.abc import Callable
from typing import Any, Final, ParamSpec

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_Args = ParamSpec("_Args")
# Sums may be reordered, so that they can be vectorised; NaN and infinity keep their meaning.
_FLAGS: Final = frozenset(("reassoc", "contract", "nsz"))
HALF: Final = np.dtype(np.uint16)


def _widen(_: Any, number: Any) -> Any:
    """Float32 of a float32, an int8, or the bits of a float16, which numba has no type for on a CPU."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if number == types.uint16:
            return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())
        return context.cast(builder, args[0], number, types.float32)

    return types.float32(number), generate


# Inside a compiled function it takes the number alone.
_wide: Any = intrinsic(_widen)


def _compiled(function: Callable[_Args, None]) -> Callable[_Args, None]:
    """Compiled at its first call, for the types of that call, and kept on disk for other processes."""
    try:
        compiled: Callable[_Args, None] = njit(cache=True, nogil=True, fastmath=set(_FLAGS))(function)
    except RuntimeError:
        # Neither the source folder nor the home may be written: each process compiles for itself.
        compiled = njit(nogil=True, fastmath=set(_FLAGS))(function)
    return compiled


@_compiled
def dots(
    data_BR: np.ndarray,
    first: int,
    text_QD: np.ndarray,
    query_P: np.ndarray,
    clip_P: np.ndarray,
    out_PN: np.ndarray,
) -> None:
    """out[p, n] = text[query_p] . token n of clip_p.

    Args:
        data_BR: float32, int8, or float16 seen as uint16; C order.
        first: where the tokens of a record begin.
        text_QD: float32, C order.
        query_P: int64, rows of text_QD.
        clip_P: int64, rows of data_BR.
        out_PN: float32, overwritten.
    """
    dim = text_QD.shape[1]
    for p in range(len(query_P)):
        record_R = data_BR[clip_P[p]]
        text_D = text_QD[query_P[p]]
        for n in range(out_PN.shape[1]):
            token_D = record_R[first + n * dim : first + (n + 1) * dim]
            total = np.float32(0)
            for d in range(dim):
                total += _wide(token_D[d]) * text_D[d]
            out_PN[p, n] = total


@_compiled
def mixed_norms(
    data_BR: np.ndarray, first: int, dim: int, weight_PN: np.ndarray, clip_P: np.ndarray, out_P: np.ndarray
) -> None:
    """out[p] = the norm of sum_n weight[p, n] token n of clip_p. Types as for `dots`."""
    for p in range(len(clip_P)):
        record_R = data_BR[clip_P[p]]
        sum_D = np.zeros(dim, np.float32)
        for n in range(weight_PN.shape[1]):
            token_D = record_R[first + n * dim : first + (n + 1) * dim]
            weight = weight_PN[p, n]
            for d in range(dim):
                sum_D[d] += weight * _wide(token_D[d])
        total = np.float32(0)
        for d in range(dim):
            total += sum_D[d] * sum_D[d]
        out_P[p] = np.sqrt(total)


@_compiled
def sign_dots(
    data_BR: np.ndarray,
    first: int,
    table_QW256: np.ndarray,
    query_P: np.ndarray,
    clip_P: np.ndarray,
    out_PN: np.ndarray,
) -> None:
    """out[p, n] = text[query_p] . signs of token n of clip_p, eight signs a byte.

    Args:
        data_BR: uint8, C order.
        first: byte where the signs of a record begin; a token has W bytes.
        table_QW256: float32: what each value of each byte contributes to the product with each text.
        query_P: int64, rows of the table.
        clip_P: int64, rows of data_BR.
        out_PN: float32, overwritten.
    """
    width = table_QW256.shape[1]
    for p in range(len(query_P)):
        record_R = data_BR[clip_P[p]]
        table_W256 = table_QW256[query_P[p]]
        for n in range(out_PN.shape[1]):
            token_W = record_R[first + n * width : first + (n + 1) * width]
            total = np.float32(0)
            for w in range(width):
                total += table_W256[w, token_W[w]]
            out_PN[p, n] = total
