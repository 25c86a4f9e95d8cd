"""What notebooks show of stores and arrays."""

from datetime import datetime, timezone
from html import escape
from itertools import islice
from typing import Any, Iterable, List, Optional, Tuple

from numpack._svg import layout_picture

# Arrays that a notebook shows of a store; of more it says how many there are.
_ROWS = 100
_STYLE = "text-align: left"


def _size(count: int) -> str:
    """Bytes for people: 38.1 MiB."""
    amount, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        units.pop(0)
    return f"{amount:.0f} {units[0]}" if units[0] == "B" else f"{amount:.1f} {units[0]}"


def _row(cells: Iterable[Any], tag: str) -> str:
    return "".join(f'<{tag} style="{_STYLE}">{escape(str(cell))}</{tag}>' for cell in cells)


def _table(head: Iterable[str], lines: Iterable[Tuple[Any, ...]], caption: str) -> str:
    body = "".join(f"<tr>{_row(line, 'td')}</tr>" for line in lines)
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{_row(head, 'th')}</tr></thead><tbody>{body}</tbody></table>"
    )


def _time(microseconds: Optional[int]) -> str:
    """Microseconds since 1970 for people; an array that only a batch knows has none."""
    if microseconds is None:
        return "in this batch"
    return datetime.fromtimestamp(microseconds / 1e6, tz=timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def store_table(store: Any) -> str:
    """A table of the arrays of an open store."""
    if not store.is_opened:
        return escape(repr(store))
    metadata = store.get_metadata()
    total = metadata["total_arrays"]
    lines: List[Tuple[Any, ...]] = []
    for name, array in islice(metadata["arrays"].items(), _ROWS):
        lines.append(
            (
                name,
                tuple(array["shape"]),
                array["dtype"],
                array["shape"][0] if array["shape"] else 1,
                array["deleted_rows"],
                _size(array["size"]),
                _time(array["modify_time"]),
            )
        )
    head = ("name", "shape", "dtype", "rows", "deleted", "bytes", "modified")
    if total > _ROWS:
        lines.append((f"... {total - _ROWS} more arrays", *[""] * (len(head) - 1)))
    count = "1 array" if total == 1 else f"{total} arrays"
    caption = f"NumPack {metadata['path']}: {count}, {_size(metadata['total_size'])}"
    return _table(head, lines, caption)


def array_box(array: Any) -> str:
    """Shape, dtype and size of a LazyArray, and a picture of its layout."""
    if repr(array) == "<LazyArray: closed>":
        return escape(repr(array))
    deleted = array._deleted_rows
    lines = [(array.name, array.shape, array.dtype, deleted, _size(array.nbytes))]
    table = _table(("name", "shape", "dtype", "deleted", "bytes"), lines, "LazyArray")
    picture = layout_picture(array.shape, deleted)
    return f'<div style="display: flex; align-items: center; gap: 2em">{table}{picture}</div>'
