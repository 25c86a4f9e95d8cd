"""How many bytes an import may make: a small file can stand for arrays that fill a disk.

What `max_bytes` does not say, the size of the source does: arrays of more than 1 GiB may have a thousand times its
bytes, which no data that are worth storing reach.
"""

from __future__ import annotations

import os
import stat
from typing import Iterator, List, Optional

import numpy as np

from numpack.io._sizes import FilePath, check_count, get_file_size

# Arrays of so many bytes are always taken.
_FREE = 1 << 30
# Bytes of arrays for each byte of their source.
_TIMES = 1000


class Bound:
    """The most bytes that the arrays of one call may have."""

    def __init__(self, max_bytes: Optional[int], source: Optional[FilePath]) -> None:
        """source: the file or folder that the arrays come from, if they do.

        Raises TypeError and ValueError for something other than a number of bytes.
        """
        if max_bytes is not None:
            check_count("max_bytes", max_bytes)
        self._asked = max_bytes
        self._source = source
        self._most: Optional[int] = max_bytes

    def check(self, size: int) -> None:
        """Raises ValueError for arrays of more bytes."""
        if self._asked is None and size <= _FREE:
            return
        if self._most is None:
            self._most = self._usual()
        if self._most is not None and size > self._most:
            self._refuse(size)

    def checked(self, blocks: Iterator[np.ndarray], so_far: List[int]) -> Iterator[np.ndarray]:
        """Blocks of arrays whose sizes are known at their end alone, counted together in `so_far`."""
        for block in blocks:
            so_far[0] += block.nbytes
            self.check(so_far[0])
            yield block

    def _usual(self) -> Optional[int]:
        """What a source of this size may make; None for memory and pipes, which have no size to compare with."""
        if self._source is None:
            return None
        mode = os.stat(self._source).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return None
        return max(_FREE, _TIMES * get_file_size(self._source))

    def _refuse(self, size: int) -> None:
        name = "the arrays" if self._source is None else f"{os.fsdecode(self._source)}: its arrays"
        if self._asked is not None or self._source is None:
            limit = f"max_bytes={self._asked}"
        else:
            limit = f"{_TIMES:,} times its own {get_file_size(self._source):,}; pass max_bytes= if they are meant to"
        raise ValueError(f"{name} have {size:,} bytes at least, more than {limit}")
