"""Repair: what a damaged store still proves, in a new store."""

from typing import Any, Dict

from numpack import _numpack
from numpack._package import _missing, _Path, _Progress, _reported


def repair(source: _Path, target: _Path, *, progress: _Progress = None) -> Dict[str, Any]:
    """Rebuilds the store at `source`, which may be damaged or refused, as a new store at `target`.

    Every array that is provably intact comes over, in one commit; the old store is never written to. Reads all data
    once. progress: as for `numpack.pack`.

    Returns a dict: `complete` (bool: nothing is missing), `recovered` (dicts of name, rows, `proven`: whether the
    bytes match the checksum of their commit, and `commit`: its number), `left_out` (dicts of name and reason),
    `last_state` (bool: every commit could be read that is known of), `last_commit` (int, or None when no commit
    could be read), `log_problems` (list of str), `log_bytes_lost` (int), `unknown_files` (data files that no commit
    names).

    Raises ValueError when `source` is not a store or `target` lies in it, an error that is FileNotFoundError and
    ValueError when nothing is at `source`, FileExistsError when something is at `target`; LockedError when a writer
    is at work in the store for two seconds; NumPackError for a store of a newer format.
    """
    with _missing(), _reported(progress, "repair") as report:
        return _numpack._repair(source, target, report)
