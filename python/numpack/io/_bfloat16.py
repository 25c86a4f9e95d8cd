"""bfloat16, which neither NumPy nor the store has: what to make of it is the caller's to say."""

from __future__ import annotations

from typing import Optional

import numpy as np

#: None refuses bfloat16, "float32" takes the same values (exact), "uint16" the bits.
Bfloat16 = Optional[str]


def check_bfloat16(choice: Bfloat16) -> None:
    """Raises ValueError for something other than the three choices."""
    if choice not in (None, "float32", "uint16"):
        raise ValueError(f"bfloat16 must be None, 'float32' or 'uint16', got {choice!r}")


def stored_dtype(name: str, choice: Bfloat16) -> np.dtype:
    """The dtype that a bfloat16 tensor gets. Raises TypeError when it is refused."""
    if choice is None:
        raise TypeError(
            f"tensor {name!r} is bfloat16, which the store does not have: pass bfloat16='float32' for the same "
            "values, or bfloat16='uint16' for the bits"
        )
    return np.dtype(choice)


def from_bits(bits: np.ndarray, choice: Bfloat16) -> np.ndarray:
    """uint16 bits as chosen: themselves, or the upper halves of float32."""
    if choice != "float32":
        return bits
    wide = bits.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)
