"""Reading and writing at the same time: while a block is written, another thread makes the next one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Generator, Iterator, TypeVar

_Block = TypeVar("_Block")


def read_ahead(blocks: Iterator[_Block]) -> Generator[_Block, None, None]:
    """The same blocks, of which one more than its user holds is being made.

    What making a block raises is raised where that block would come. Closing waits for the block that is being made,
    so that afterwards nobody uses what the blocks are made of.
    """
    try:
        with ThreadPoolExecutor(1, "numpack-read") as thread:
            coming = thread.submit(next, blocks, None)
            while (block := coming.result()) is not None:
                coming = thread.submit(next, blocks, None)
                yield block
    finally:
        if isinstance(blocks, Generator):
            blocks.close()
