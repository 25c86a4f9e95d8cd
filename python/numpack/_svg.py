"""A small picture of how an array lies in its store, for notebooks.

Rows, the axis that appending extends and that the file holds one behind the other, always run down. The second
axis runs across, the third into the depth, and what a cell of a larger array holds is written below. Sides grow
with the logarithm of their lengths, so that 1,000,000 x 128 still has two sides. Lines part the rows: each of a
few, otherwise tenths. Deleted rows are a dashed part at the end, of their share, wherever they lie in the file.

Every colour is the text's own, for light and dark notebooks.
"""

from math import log1p
from typing import Iterator, List, NamedTuple, Sequence, Tuple

_LONGEST, _SHORTEST = 120.0, 14.0
# Of a letter, in the font below.
_LETTER, _LINE = 7.0, 14.0
_MARGIN = 4.0
_PARTS = 10
# How far a unit of depth goes to the right and up.
_SLANT = 0.4

_Point = Tuple[float, float]


def layout_picture(shape: Sequence[int], deleted: int = 0) -> str:
    """An SVG image of an array of `shape`, beside whose rows `deleted` more lie in the file."""
    box = _box(shape, deleted)
    labels = _labels(shape, deleted, box)
    ends = [end for label in labels for end in label.extent()]
    left = min(0, *ends) - _MARGIN
    top = -box.deep - _MARGIN
    width = max(box.wide + box.deep, *ends) + _MARGIN - left
    height = max(box.high, *(label.y for label in labels)) + _MARGIN - top
    texts = (
        f'<text x="{label.x:.1f}" y="{label.y:.1f}" text-anchor="{label.anchor}">{label.text}</text>'
        for label in labels
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" fill="currentColor" font-family="sans-serif" '
        f'font-size="12" viewBox="{left:.1f} {top:.1f} {width:.1f} {height:.1f}" width="{width:.0f}" '
        f'height="{height:.0f}"><title>{_in_words(shape, deleted)}</title>'
        f"{''.join(_surfaces(shape, box))}{''.join(texts)}</svg>"
    )


def _in_words(shape: Sequence[int], deleted: int) -> str:
    if not shape:
        return "a single element"
    rows = f"{shape[0]:,} rows"
    cells = f" of {_product(shape[1:])}" if len(shape) > 1 else ""
    return rows + cells + (f", {deleted:,} more deleted" if deleted else "")


def _product(lengths: Sequence[int]) -> str:
    """4 \u00d7 1,000"""
    return " \u00d7 ".join(f"{length:,}" for length in lengths)


def _sides(lengths: Sequence[int]) -> List[float]:
    """Lengths as drawn, the longest of all given lengths as `_LONGEST`."""
    longest = log1p(max(1, max(lengths)))
    return [max(_SHORTEST, _LONGEST * log1p(length) / longest) for length in lengths]


class _Box(NamedTuple):
    """The front face has its upper left corner at (0, 0); the depth goes to the right and up."""

    high: float
    wide: float
    deep: float
    live: float
    """How much of the height the rows that are not deleted take."""


class _Label(NamedTuple):
    x: float
    y: float
    anchor: str
    text: str

    def extent(self) -> Tuple[float, float]:
        """Left and right end, roughly."""
        width = _LETTER * len(self.text)
        left = self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return left, left + width


def _box(shape: Sequence[int], deleted: int) -> _Box:
    if not shape:
        return _Box(_SHORTEST, _SHORTEST, 0.0, _SHORTEST)
    in_file = shape[0] + deleted
    high, *others = _sides([in_file, *shape[1:3]])
    wide = others[0] if others else _SHORTEST
    deep = others[1] * _SLANT if len(others) > 1 else 0.0
    return _Box(high, wide, deep, high * shape[0] / in_file if deleted else high)


def _labels(shape: Sequence[int], deleted: int, box: _Box) -> List[_Label]:
    """The length beside each side, and below what the sides do not show."""
    found, below = [], box.high + _LINE
    if not shape:
        found.append(_Label(box.wide + _MARGIN, box.high - _MARGIN, "start", "one element"))
    if shape:
        found.append(_Label(-_MARGIN, max(box.live / 2, _LETTER) + _MARGIN, "end", f"{shape[0]:,}"))
    if len(shape) > 1:
        found.append(_Label(box.wide / 2, below, "middle", f"{shape[1]:,}"))
        below += _LINE
    if len(shape) > 2:
        x, y = box.wide + box.deep / 2 + _LETTER, box.high - box.deep / 2 + _LINE - _MARGIN
        found.append(_Label(x, y, "start", f"{shape[2]:,}"))
    if len(shape) > 3:
        found.append(_Label(0, below, "start", f"of {_product(shape[3:])} each"))
        below += _LINE
    if deleted:
        share = deleted / (shape[0] + deleted)
        found.append(_Label(0, below, "start", f"{share:.1%} of the rows deleted"))
    return found


def _surfaces(shape: Sequence[int], box: _Box) -> Iterator[str]:
    """The faces of the box and the lines between rows."""
    solid = ' fill-opacity="0.15"' if 0 not in shape else ' fill-opacity="0" stroke-dasharray="3 3"'
    gone = ' fill-opacity="0" stroke-dasharray="3 3"'
    for top, bottom, style in ((0.0, box.live, solid), (box.live, box.high, gone)):
        if bottom > top:
            yield _polygon([(0, top), (box.wide, top), (box.wide, bottom), (0, bottom)], style)
            if box.deep:
                yield _polygon(_slanted([(box.wide, top), (box.wide, bottom)], box.deep), style)
    if box.deep:
        yield _polygon(_slanted([(0, 0), (box.wide, 0)], box.deep), solid)
    parts = min(shape[0], _PARTS) if shape and 0 not in shape else 1
    for part in range(1, parts):
        y = box.live * part / parts
        yield _line([(0, y), (box.wide, y), (box.wide + box.deep, y - box.deep)])


def _slanted(edge: List[_Point], deep: float) -> List[_Point]:
    """The face between an edge and the same edge in the depth."""
    return edge + [(x + deep, y - deep) for x, y in reversed(edge)]


def _polygon(points: Sequence[_Point], style: str) -> str:
    return f'<polygon points="{_points(points)}" stroke="currentColor"{style}/>'


def _line(points: Sequence[_Point]) -> str:
    style = 'fill="none" stroke="currentColor" stroke-opacity="0.35"'
    return f'<polyline points="{_points(points)}" {style}/>'


def _points(points: Sequence[_Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
