"""A convolutional stem: small stride-2 convolutions in place of the one large one that cuts patches.

A ViT trained from nothing learns several times quicker behind it (Xiao et al., arXiv 2106.14881); the grid of patch
tokens and all that follows stay those of a plain ViT.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from schemas.errors import UnknownModelError


class ConvStem(nn.Module):
    """3 x 3 convolutions of stride 2 with ReLU, then 1 x 1 to the tower's width.

    Args:
        channels: of each convolution; their number halves the side so often.
        width: of the tower.
        patch_size: side of a patch in pixels; must be 2 to the number of convolutions.
        label: how to call the model in an error.

    Raises:
        UnknownModelError: the convolutions do not give the grid that the tower expects.
    """

    def __init__(self, channels: Sequence[int], width: int, patch_size: int, label: str) -> None:
        super().__init__()
        if 2 ** len(channels) != patch_size:
            raise UnknownModelError(
                f"{label}: {len(channels)} convolutions of stride 2 make no patches of {patch_size}"
            )
        layers: list[nn.Module] = []
        for before, after in zip((3, *channels), channels, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels[-1], width, 1))
        # As many as open_clip's own conv1 has, so that code which asks it for its width finds it here too.
        self.out_channels = width

    def forward(self, pixels_NCHW: Tensor) -> Tensor:
        """N x width x grid x grid."""
        grid_NWHH: Tensor = self.layers(pixels_NCHW)
        return grid_NWHH
