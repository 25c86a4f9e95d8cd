"""What callers give in memory: arrays without a mask, and names of columns."""

from __future__ import annotations

from typing import Any, List, Sequence

import numpy as np


def plain_array(given: Any) -> np.ndarray:
    """What numpy.asarray makes of it. Raises TypeError for a masked array, which would lose its mask."""
    check_unmasked(given)
    return np.asarray(given)


def check_unmasked(given: Any) -> None:
    """Raises TypeError for a masked array."""
    if isinstance(given, np.ma.MaskedArray):
        raise TypeError("a masked array would lose its mask: pass a.filled(value), or a.data and a.mask")


def name_list(names: Sequence[Any]) -> List[Any]:
    """The names of columns; a single text is the name of one."""
    return [names] if isinstance(names, str) else list(names)
