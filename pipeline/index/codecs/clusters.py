"""Spherical k-means (Dhillon and Modha 2001) of one clip's tokens: directions to which the tokens lie nearest.

Tokens are unit vectors, and a score asks for their products with a unit text. So a cluster is known by a direction, and
its representative has length 1 again: a plain mean is shorter, and would lose to single tokens in a sharp softmax.
"""

import numpy as np

_ROUNDS = 12


def cluster(tokens_ND: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Directions and sizes of at most `most` clusters. The same tokens always give the same clusters.

    Args:
        tokens_ND: unit vectors, float32; few tokens are their own clusters.
        most: at least 1.

    Returns:
        centre_KD (float32, unit) and size_K (int64, at least 1 each).

    >>> centre, size = cluster(np.array([[1.0, 0.0], [0.8, 0.6], [-1.0, 0.0], [0.8, -0.6]], np.float32), 2)
    >>> centre.round(3).tolist(), size.tolist()
    ([[1.0, 0.0], [-1.0, 0.0]], [3, 1])
    """
    if len(tokens_ND) <= most:
        return tokens_ND, np.ones(len(tokens_ND), np.int64)
    centre_KD = _far_apart(tokens_ND, most)
    nearest_N = _nearest(tokens_ND, centre_KD)
    for _ in range(_ROUNDS):
        before_N = nearest_N
        centre_KD = _directions(tokens_ND, nearest_N, centre_KD)
        nearest_N = _nearest(tokens_ND, centre_KD)
        if np.array_equal(before_N, nearest_N):
            break
    size_K = np.bincount(nearest_N, minlength=len(centre_KD))
    return centre_KD[size_K > 0], size_K[size_K > 0]


def _far_apart(tokens_ND: np.ndarray, count: int) -> np.ndarray:
    """Starts: the token nearest to the mean, then again and again the one farthest from all before (Gonzalez 1985)."""
    chosen = [int((tokens_ND @ tokens_ND.mean(0)).argmax())]
    closest_N = tokens_ND @ tokens_ND[chosen[0]]
    for _ in range(count - 1):
        chosen.append(int(closest_N.argmin()))
        closest_N = np.maximum(closest_N, tokens_ND @ tokens_ND[chosen[-1]])
    return tokens_ND[chosen]


def _nearest(tokens_ND: np.ndarray, centre_KD: np.ndarray) -> np.ndarray:
    nearest_N: np.ndarray = (tokens_ND @ centre_KD.T).argmax(1)
    return nearest_N


def _directions(tokens_ND: np.ndarray, nearest_N: np.ndarray, before_KD: np.ndarray) -> np.ndarray:
    member_KN = (nearest_N == np.arange(len(before_KD))[:, None]).astype(np.float32)
    sum_KD = member_KN @ tokens_ND
    norm_K1 = np.linalg.norm(sum_KD, axis=1, keepdims=True)
    # No members, or members that cancel out, have no direction of their own.
    return np.where(norm_K1 > 0, sum_KD / np.where(norm_K1 > 0, norm_K1, 1), before_KD)
