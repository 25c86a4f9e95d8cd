"""The program `numpack`: `python -m numpack`, and the console script of the package."""

import signal
import sys
from typing import List, Optional

from numpack import _numpack


def main(arguments: Optional[List[str]] = None) -> int:
    """Runs the program with these arguments (None: those of the command line); returns the exit status."""
    if arguments is None:
        # The work is done outside Python, where its own handler of Ctrl-C would not be looked at.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        arguments = sys.argv[1:]
    return _numpack.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
