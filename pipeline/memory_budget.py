"""How a run on one machine stays within a stated amount of memory: sizes of its parts, worked out before it starts.

Costs of processes at rest were measured as proportional set sizes on Linux (x86-64, Ray 2.60, torch 2.15); what a task
costs is counted in copies of it that a process holds at the worst moment.
"""

from dataclasses import dataclass
from typing import Final

from pipeline.pools import writers_beside
from schemas.errors import ConfigError

MIB: Final = 1 << 20
_DRIVER_BYTES: Final = 760 * MIB  # torch, to name the model
_RAY_BYTES: Final = 560 * MIB  # its own processes, without dashboard and object store
_RAY_BYTES_A_CPU: Final = 60 * MIB  # a worker that is started ahead
_ENCODER_BYTES: Final = 700 * MIB  # torch again; weights and pictures come on top
_DECODER_BYTES: Final = 130 * MIB  # the actor; its child has a limit of its own
_WRITER_BYTES: Final = 140 * MIB
_WEIGHT_COPIES: Final = 2  # as read and as loaded, and the driver's own
_CHILD_RANGE: Final = (192 * MIB, 2048 * MIB)
_STORE_RANGE: Final = (96 * MIB, 512 * MIB)  # Ray takes no less than 75 MiB
_TASK_RANGE: Final = (4 * MIB, 1024 * MIB)
# Copies of a task: its rows, Arrow's buffers, Ray's message.
_DECODER_COPIES, _ENCODER_COPIES, _WRITER_COPIES, _STORE_COPIES = 4, 5, 3, 4
_CHILD_SHARE: Final = 0.65
# 4K of any usual codec decodes in it: HEVC of 10 bits takes 440 MiB. While anything can be saved on, a child has it.
_CHILD_GOOD: Final = 512 * MIB
_BATCH_FRAMES: Final = (96, 48, 24, 12)
_PASS_COPIES: Final = 4  # tokens of a pass: as computed, normalised, in half precision, as rows
_LAYER_COPIES: Final = 12  # of a picture's hidden states inside a transformer block


@dataclass(frozen=True)
class ModelCost:
    """What decides the memory that encoding takes.

    Attributes:
        weights_bytes: of all parameters.
        num_frames: F, frames a clip.
        image_size: side of a picture in pixels.
        patches: P, patches a frame.
        width: channels inside the vision tower.
        dim: D, channels of a token.
    """

    weights_bytes: int
    num_frames: int
    image_size: int
    patches: int
    width: int
    dim: int

    @property
    def clip_bytes(self) -> int:
        """Stored tokens of one clip: float16 frames, temporal frames and patches, float32 coarse."""
        return 2 * self.num_frames * (2 + self.patches) * self.dim + 4 * self.dim

    @property
    def picture_bytes(self) -> int:
        """Decoded frames of one clip."""
        return 3 * self.num_frames * self.image_size**2

    def encode_bytes(self, batch_frames: int, clips_a_pass: int) -> int:
        """Pictures and hidden states of a batch, and tokens of a pass, all float32."""
        picture = 2 * 4 * 3 * self.image_size**2 + _LAYER_COPIES * 4 * (self.patches + 1) * self.width
        tokens = 4 * self.num_frames * (self.patches + 2) * self.dim
        return batch_frames * picture + clips_a_pass * (_PASS_COPIES * tokens + self.picture_bytes)


@dataclass(frozen=True)
class MemoryPlan:
    """Sizes that keep a run within its budget.

    Attributes:
        decoders: decoding actors, each with a child process.
        encoders: encoding actors.
        child_bytes: resident memory that a decoder's child may reach.
        task_bytes: decoded pictures and stored tokens of one task.
        batch_frames: frames that a model sees at once.
        clips_a_pass: clips whose tokens are held at once.
        store_bytes: Ray's object store.
        total_bytes: what all of it adds up to.
    """

    decoders: int
    encoders: int
    child_bytes: int
    task_bytes: int
    batch_frames: int
    clips_a_pass: int
    store_bytes: int
    total_bytes: int


def plan_memory(
    budget_bytes: int, model: ModelCost, *, cpus: int, decoders: int, encoders: int, batch_frames: int = 96
) -> MemoryPlan:
    """The largest plan that fits: first fewer frames at once, then fewer decoders, then fewer encoders.

    Children that decode 4K come before all of these.

    Args:
        budget_bytes: resident memory of all processes of the run, Ray's own and its object store included.
        model: what encodes.
        cpus: CPUs of Ray on this machine.
        decoders: wanted at most.
        encoders: wanted at most.
        batch_frames: wanted at most.

    Raises:
        ConfigError: not even one decoder, one encoder and a small task fit; says what would.
    """
    tries = [
        (num_encoders, num_decoders, frames)
        for num_encoders in range(encoders, 0, -1)
        for num_decoders in range(decoders, 0, -1)
        for frames in (min(frames, batch_frames) for frames in _BATCH_FRAMES)
    ]
    plans = [
        _share(budget_bytes, model, cpus, num_decoders, num_encoders, frames)
        for num_encoders, num_decoders, frames in tries
    ]
    fitting = [plan for plan in plans if plan is not None]
    if fitting:
        good = [plan for plan in fitting if plan.child_bytes >= _CHILD_GOOD]
        return good[0] if good else max(fitting, key=lambda plan: plan.child_bytes)
    least = _fixed(model, cpus, 1, 1, min(_BATCH_FRAMES[-1], batch_frames)) + _least_rest(model, 1, 1)
    raise ConfigError(
        f"memory_budget_gb = {budget_bytes / (1 << 30):g}: this model on {cpus} CPUs needs at least "
        f"{least / (1 << 30) + 0.005:.2f}; raise it, or take a smaller model"
    )


def _share(
    budget_bytes: int, model: ModelCost, cpus: int, decoders: int, encoders: int, frames: int
) -> MemoryPlan | None:
    fixed = _fixed(model, cpus, decoders, encoders, frames)
    rest = budget_bytes - fixed
    if rest < _least_rest(model, decoders, encoders):
        return None
    spare = rest - decoders * _CHILD_RANGE[0] - _STORE_RANGE[0]
    child = min(_CHILD_RANGE[1], _CHILD_RANGE[0] + int(_CHILD_SHARE * spare / decoders))
    copies = _copies(decoders, encoders)
    task = min(_TASK_RANGE[1], (rest - decoders * child - _STORE_RANGE[0]) // copies)
    if task < _least_task(model):
        task = _least_task(model)
        child = min(_CHILD_RANGE[1], (rest - _STORE_RANGE[0] - copies * task) // decoders)
    store = min(_STORE_RANGE[1], _STORE_RANGE[0] + _STORE_COPIES * task)
    held = (copies - _STORE_COPIES) * task
    return MemoryPlan(
        decoders=decoders,
        encoders=encoders,
        child_bytes=child,
        task_bytes=task,
        batch_frames=frames,
        clips_a_pass=_clips_a_pass(frames, model),
        store_bytes=store,
        total_bytes=fixed + decoders * child + store + held,
    )


def _fixed(model: ModelCost, cpus: int, decoders: int, encoders: int, frames: int) -> int:
    """All that does not depend on how the rest is shared out."""
    encoder = (
        _ENCODER_BYTES + _WEIGHT_COPIES * model.weights_bytes + model.encode_bytes(frames, _clips_a_pass(frames, model))
    )
    ray = _RAY_BYTES + cpus * _RAY_BYTES_A_CPU
    driver = _DRIVER_BYTES + _WEIGHT_COPIES * model.weights_bytes
    return driver + ray + decoders * _DECODER_BYTES + encoders * encoder + writers_beside(encoders) * _WRITER_BYTES


def _clips_a_pass(frames: int, model: ModelCost) -> int:
    return max(1, 2 * frames // model.num_frames)


def _copies(decoders: int, encoders: int) -> int:
    """Tasks that may be held at once, times the copies of each."""
    held = decoders * _DECODER_COPIES + encoders * _ENCODER_COPIES + writers_beside(encoders) * _WRITER_COPIES
    return held + _STORE_COPIES


def _least_task(model: ModelCost) -> int:
    """One clip at the least."""
    return max(_TASK_RANGE[0], model.clip_bytes + model.picture_bytes)


def _least_rest(model: ModelCost, decoders: int, encoders: int) -> int:
    return decoders * _CHILD_RANGE[0] + _STORE_RANGE[0] + _copies(decoders, encoders) * _least_task(model)
