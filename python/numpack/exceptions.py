"""The exceptions that NumPack adds to Python's own.

Everything else is a built-in: ``ValueError``, ``TypeError``, ``IndexError``, ``OSError`` and its subclasses
(``io.UnsupportedOperation`` for a write in mode ``"r"``), ``MemoryError``.
"""


class NumPackError(Exception):
    """Base of the exceptions of this package; itself raised for a store of a newer format version."""


class ArrayNotFoundError(NumPackError, KeyError):
    """No array has this name."""

    # KeyError would show the message in quotes, as if it were the key.
    __str__ = Exception.__str__


class CorruptedError(NumPackError, OSError):
    """A file does not hold what was committed to it; the message names the file and the offset."""


class LockedError(NumPackError, OSError):
    """Another writer held the store for longer than ``lock_timeout``."""


class MissingPathError(FileNotFoundError, ValueError):
    """Nothing is at the path that should be packed, unpacked or described."""


class ClosedError(NumPackError, RuntimeError):
    """The store or array is not opened or has been closed."""
