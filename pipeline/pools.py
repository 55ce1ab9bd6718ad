"""How many actors of each stage, and the share of a CPU or GPU of each: pure arithmetic on what a cluster has."""

import math
from dataclasses import dataclass

_WRITER_CPUS = 0.25
_ENCODERS_A_WRITER = 2
_SMALL = 2  # CPUs, at which no whole one can be left free


@dataclass(frozen=True)
class Pools:
    """Sizes of the actor pools, and what one actor of each asks for."""

    decoders: int
    encoders: int
    cpus_per_actor: float
    gpus_per_encoder: float
    writers: int
    writer_cpus: float = _WRITER_CPUS


def plan_pools(
    cpus: float,
    gpus: float,
    decoders: int | None = None,
    encoders: int | None = None,
    gpus_per_encoder: float | None = None,
    encode_share: float = 0.5,
) -> Pools:
    """Share a cluster between decoding and encoding.

    With GPUs: an encoder on each, decoders on all other CPUs. Without: as many encoders as the model's share of the
    work asks for, and as many decoders as there are CPUs. Together they are more than the CPUs: what a video costs to
    decode is not known before, and a core whose decoder waits for encoders, or the other way round, would be idle. Each
    asks for a part of a CPU only. The pools never take the last quarter of a CPU, since Ray Data waits for ever, and
    silently, when no CPU is left for its other operators.

    Args:
        cpus: CPUs of the cluster.
        gpus: GPUs of the cluster.
        decoders: number of decoders, if the user wants another.
        encoders: number of encoders, if the user wants another.
        gpus_per_encoder: what an encoder asks for, whether or not the cluster has it yet. Naming it says that the
            cluster will grow to the pools, so each actor asks for a whole CPU.
        encode_share: of a clip's processor time, what encoding takes where there is no GPU.

    >>> plan_pools(2, 0)
    Pools(decoders=2, encoders=1, cpus_per_actor=0.5, gpus_per_encoder=0.0, writers=1, writer_cpus=0.25)
    >>> plan_pools(2, 0, encode_share=0.9).encoders
    2
    >>> plan_pools(64, 4).decoders, plan_pools(64, 4).encoders
    (59, 4)
    """
    whole = max(1, int(cpus))
    wants_gpu = gpus >= 1 if gpus_per_encoder is None else gpus_per_encoder > 0
    num_encoders = encoders or (max(1, int(gpus)) if wants_gpu else max(1, math.ceil(whole * encode_share)))
    num_decoders = decoders or (max(1, whole - num_encoders - (whole > _SMALL)) if wants_gpu else whole)
    writers = writers_beside(num_encoders)
    free = max(0.1, cpus - 2 * _WRITER_CPUS)
    share = min(1.0, free / (num_encoders + num_decoders))
    # Ray keeps four decimals of a resource; rounding down keeps the sum below what there is.
    share = max(0.0001, int(share * 10_000) / 10_000)
    if gpus_per_encoder is not None:
        return Pools(num_decoders, num_encoders, 1.0, gpus_per_encoder, writers)
    return Pools(num_decoders, num_encoders, share, 1.0 if wants_gpu else 0.0, writers)


def writers_beside(encoders: int) -> int:
    """How many writers keep up with so many encoders.

    >>> writers_beside(1), writers_beside(8)
    (1, 4)
    """
    return max(1, encoders // _ENCODERS_A_WRITER)
