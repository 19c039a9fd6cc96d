"""`python -m inve_daemon.worker`: started by the daemon, speaks `inve_daemon.pipe` on standard streams."""

import os

from inve_daemon.worker.core import InveCore
from inve_daemon.worker.process import run_worker

if __name__ == "__main__":
    # Read once, when torch is first imported, which is later than this. An iteration is hundreds of short
    # steps, and torch's threads spin while they wait for each other between them: beside another busy
    # program each wait costs a time slice, and learning was seen to take twenty times as long. Half the
    # cores lose nothing (the other half are mostly the same cores' second threads), and a short spin is
    # enough where nobody interferes.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // 2)))
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    run_worker(InveCore)
