"""`inve-daemon` with the fake worker: the same command line, as a process of its own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import daemon_fakes

from inve_daemon import supervisor
from inve_daemon.cli import main

supervisor.WORKER_COMMAND = daemon_fakes.WORKER_COMMAND

if __name__ == "__main__":
    main()
