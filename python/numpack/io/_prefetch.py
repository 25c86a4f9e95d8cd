"""Reading and writing at the same time: while a block is written, another thread makes the next one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generator, Iterable, Iterator, TypeVar

_Block = TypeVar("_Block")


@contextmanager
def ended(blocks: Iterable[_Block]) -> Iterator[Iterable[_Block]]:
    """The blocks, of which none is made any more afterwards, although an error may keep their generator alive."""
    try:
        yield blocks
    finally:
        if isinstance(blocks, Generator):
            blocks.close()


def read_ahead(blocks: Iterator[_Block]) -> Generator[_Block, None, None]:
    """The same blocks, of which one more than its user holds is being made.

    What making a block raises is raised where that block would come. Closing waits for the block that is being made,
    so that afterwards nobody uses what the blocks are made of.
    """
    with ended(blocks), ThreadPoolExecutor(1, "numpack-read") as thread:
        coming = thread.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = thread.submit(next, blocks, None)
            yield block
