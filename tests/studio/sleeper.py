"""A command that only waits, to be started and stopped in tests."""

from __future__ import annotations

import sys
import time

if __name__ == "__main__":
    print("waiting", *sys.argv[1:], flush=True)
    try:
        time.sleep(0 if "at-once" in sys.argv else 60)
    except KeyboardInterrupt:
        sys.exit("error: stopped on request, 1 of 1 inputs are left\n  → run the same command to go on")
    sys.exit("error: config key 'x': is wrong\n  → mend it")
