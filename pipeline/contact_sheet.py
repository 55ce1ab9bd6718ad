"""A contact sheet: for each query a row of its top hits, each with its rank and the frame that matched best."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from schemas.errors import BadVideoError
from schemas.results import SearchHit, SearchResult

_TILE_PX = 160
_LABEL_PX = 34
_GAP_PX = 10
_PAPER, _INK, _FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)

Thumbnail = Callable[[SearchHit, int], Image.Image]


@dataclass(frozen=True)
class Grid:
    """Geometry of the sheet: where the row of a query and the tile of a hit stand, in pixels."""

    rows: int
    columns: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the sheet.

        >>> Grid(rows=2, columns=3).size
        (520, 488)
        """
        return _GAP_PX + self.columns * (_TILE_PX + _GAP_PX), _GAP_PX + self.rows * self._row_px

    @property
    def _row_px(self) -> int:
        return _LABEL_PX + _TILE_PX + _LABEL_PX + _GAP_PX + 1

    def title(self, row: int) -> tuple[int, int]:
        """Top left of a query's title."""
        return _GAP_PX, _GAP_PX + row * self._row_px

    def tile(self, row: int, column: int) -> tuple[int, int]:
        """Top left of a hit's picture."""
        return _GAP_PX + column * (_TILE_PX + _GAP_PX), _GAP_PX + row * self._row_px + _LABEL_PX


def contact_sheet(results: Sequence[SearchResult], thumbnail: Thumbnail, columns: int = 5) -> Image.Image:
    """Draw a sheet.

    Args:
        results: one row each.
        thumbnail: gives the picture of a hit, at most the given number of pixels on a side; where it raises
            BadVideoError the reason stands in the picture's place.
        columns: hits shown of each result.
    """
    grid = Grid(rows=max(1, len(results)), columns=columns)
    sheet = Image.new("RGB", grid.size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    bold, small = ImageFont.load_default(18), ImageFont.load_default(12)
    for row, result in enumerate(results):
        room_px = grid.size[0] - 2 * _GAP_PX
        draw.text(grid.title(row), fitted(f"“{result.query}”", room_px, bold.getlength), _INK, bold)
        for column, hit in enumerate(result.hits[:columns]):
            _draw_hit(sheet, grid.tile(row, column), hit, thumbnail, small)
    return sheet


def fitted(text: str, room_px: float, length_px: Callable[[str], float]) -> str:
    """A text cut, with dots, to the room that there is.

    >>> fitted("a long title", 8, len), fitted("short", 8, len)
    ('a lon...', 'short')
    """
    if length_px(text) <= room_px:
        return text
    while text and length_px(text + "...") > room_px:
        text = text[:-1]
    return text + "..."


def _draw_hit(
    sheet: Image.Image,
    at: tuple[int, int],
    hit: SearchHit,
    thumbnail: Thumbnail,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    draw = ImageDraw.Draw(sheet)
    left, top = at
    draw.rectangle((left, top, left + _TILE_PX, top + _TILE_PX), (235, 235, 235))
    try:
        picture = thumbnail(hit, _TILE_PX)
        sheet.paste(picture, (left + (_TILE_PX - picture.width) // 2, top + (_TILE_PX - picture.height) // 2))
    except BadVideoError as error:
        draw.text((left + 6, top + 6), error.reason, _INK, font)
    moment = f"at {hit.best_s:.1f} s" if hit.best_s is not None else "not reranked"
    name = hit.uri.rsplit("/", 1)[-1]
    draw.text((left, top + _TILE_PX + 3), f"{hit.rank}. {name[:22]}", _INK, font)
    draw.text((left, top + _TILE_PX + 17), f"{moment}, score {hit.score:.3f}", _FAINT, font)
