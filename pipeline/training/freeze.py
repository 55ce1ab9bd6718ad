"""Which parameters a run trains: all but those that its settings name."""

from collections.abc import Iterable, Sequence

from torch import nn

from schemas.errors import ConfigError


def names_under(prefix: str, names: Iterable[str]) -> list[str]:
    """The names that are `prefix`, or lie below it: whole words between dots only.

    >>> names_under("clip.visual", ["clip.visual.proj", "clip.visual_bias", "frame_mix_FF"])
    ['clip.visual.proj']
    """
    stem = prefix.rstrip(".")
    return [name for name in names if name == stem or name.startswith(f"{stem}.")]


def freeze(model: nn.Module, prefixes: Sequence[str]) -> None:
    """Let the model train, but for the parameters under `prefixes`, which keep the values they have.

    Args:
        model: whose `requires_grad` is set.
        prefixes: such as "frame_mix_FF" or "clip.visual.conv1".

    Raises:
        ConfigError: a prefix names no parameter, or nothing is left to train.
    """
    parameters = dict(model.named_parameters())
    model.requires_grad_(True)
    for prefix in prefixes:
        frozen = names_under(prefix, parameters)
        if not frozen:
            tops = ", ".join(sorted({".".join(name.split(".")[:2]) for name in parameters}))
            raise ConfigError(f"setting 'freeze': no parameter is or begins with {prefix!r}; there are {tops}")
        for name in frozen:
            parameters[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise ConfigError(f"setting 'freeze' = {list(prefixes)} leaves nothing to train")
