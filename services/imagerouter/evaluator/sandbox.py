"""The child process that decodes: `python -I -m imagerouter.evaluator.sandbox LIMITS IMAGES`.

Speaks frames over its standard input and output: first it says how it is confined ("seccomp" or "limits"), then it
answers each image with a measurement, one at a time. It ends when its input does, or is killed: by the kernel on too
much processor time, by the service on too much of anybody's time.
"""

from __future__ import annotations

import gc
import io
import signal
import sys

from imagerouter.evaluator.confine import filter_calls, limit
from imagerouter.evaluator.frames import read_frame, write_frame
from imagerouter.evaluator.measure import measure
from imagerouter.evaluator.measurement import Limits

_START_CPU_S = 5


def _rehearse(limits: Limits) -> None:
    """Measure one small image of each kind, so that all that is loaded on first use is loaded before confinement."""
    from PIL import Image

    for form in ("PNG", "JPEG", "WEBP"):
        for mode in ("RGB", "L"):
            file = io.BytesIO()
            Image.new(mode, (8, 8)).save(file, form)
            measure(file.getvalue(), limits)


def main() -> None:
    """Answer until the input ends."""
    limits, images = Limits.from_json(sys.argv[1]), int(sys.argv[2])
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    _rehearse(limits)
    gc.freeze()
    limit(limits.memory_bytes, int(limits.cpu_s * images) + _START_CPU_S)
    write_frame(outgoing, b"seccomp" if filter_calls() else b"limits")
    while True:
        try:
            data = read_frame(incoming, limits.max_bytes)
        except EOFError:
            return
        # Processor time of this one image; the default action of SIGPROF is to end the process.
        signal.setitimer(signal.ITIMER_PROF, limits.cpu_s)
        measurement = measure(data, limits)
        signal.setitimer(signal.ITIMER_PROF, 0)
        write_frame(outgoing, measurement.to_json())
        del data


if __name__ == "__main__":
    main()
