"""Progress of a conversion, in bytes of array data."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Callable, Iterable, Iterator, Optional, Union

import numpy as np

#: False or None: silent. True: a bar on standard error. A callable gets (bytes done, bytes in all or None).
Progress = Union[bool, None, Callable[[int, Optional[int]], Any]]


class Meter:
    """Counts bytes and tells whoever wants to know; a context manager that ends the bar."""

    def __init__(self, progress: Progress, total: Optional[int]) -> None:
        if not (progress is None or isinstance(progress, bool) or callable(progress)):
            raise TypeError(f"progress must be a bool or a callable, got {type(progress).__name__}")
        self._total = total
        self._done = 0
        self._bar = _bar(total) if progress is True else None
        self._call = progress if callable(progress) else None

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def add(self, count: int) -> None:
        """Counts bytes that are done. What a callable raises ends the conversion."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        if self._call is not None:
            self._call(self._done, self._total)

    def count(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The blocks, each counted once its user asks for the next."""
        for block in blocks:
            yield block
            self.add(block.nbytes)


class _Line:
    """What is shown where tqdm is not installed: one line, written over."""

    def __init__(self, total: Optional[int]) -> None:
        self._of = "" if total is None else f" of {total / 1e6:.1f}"
        self._done = 0

    def update(self, count: int) -> None:
        self._done += count
        print(f"\r{self._done / 1e6:.1f}{self._of} MB", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        print(file=sys.stderr)


def _bar(total: Optional[int]) -> Any:
    try:
        bars = importlib.import_module("tqdm.auto")
    except ImportError:
        return _Line(total)
    return bars.tqdm(total=total, unit="B", unit_scale=True)
