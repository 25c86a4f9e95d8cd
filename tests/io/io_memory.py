"""How much a conversion makes a process grow, measured in a process of its own."""

import json
import os
import subprocess
import sys
import textwrap

MB = 1_000_000
CHUNK = 16 * MB

CHILD = """
    import json, os, re, resource, sys, threading
    import numpack.io
    function, source, target, options = sys.argv[1:]
    options = json.loads(options)
    warm, refused = options.pop("warm"), options.pop("refused", False)
    # Libraries and their first buffers are not part of what grows with the file.
    folder, name = os.path.split(target)
    getattr(numpack.io, function)(warm, os.path.join(folder, "warm-" + name), **options)
    peak, done = 0, threading.Event()
    def own():
        text = open("/proc/self/status").read()
        return 1024 * sum(int(found) for found in re.findall(r"Rss(?:Anon|Shmem):\\s+(\\d+)", text))
    def watch():
        global peak
        while not done.wait(0.002):
            peak = max(peak, own())
    before = own(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        getattr(numpack.io, function)(source, target, **options)
        assert not refused
    except ValueError:
        assert refused
    done.set()
    watcher.join()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([peak - before[0], after - before[1]]))
"""


def growth(function, source, target, warm, **options):
    """Bytes by which a conversion makes a process grow: memory of its own, and all that was resident.

    refused=True: the conversion of `source`, not that of `warm`, has to end with a ValueError.
    """
    options = {"chunk_size": CHUNK, "warm": os.fspath(warm), **options}
    given = json.dumps({name: value for name, value in options.items() if value is not None})
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(CHILD),
        function,
        os.fspath(source),
        os.fspath(target),
        given,
    ]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(found)
