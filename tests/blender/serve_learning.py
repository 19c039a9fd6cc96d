"""`inve-daemon` whose worker takes its time: the fake one of the daemon's tests, learning for some seconds.

Run as a script without arguments it is that worker.
"""

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "daemon"))

from daemon_fakes import ITERATION_S, FakeCore, FakeTrainer

from inve_daemon import supervisor
from inve_daemon.cli import main
from inve_daemon.worker.process import run_worker
from inve_daemon.worker.tasks import TrainingPace

LEARNS_S = float(os.environ.get("LEARNS_S", "3"))


class LearningCore(FakeCore):
    """Learns for LEARNS_S, whatever the seed."""

    def trainer(self, source: Any, **options: Any) -> FakeTrainer:
        return super().trainer(source, **{**options, "seed": int(LEARNS_S / ITERATION_S)})


supervisor.WORKER_COMMAND = (sys.executable, str(Path(__file__).resolve()))

if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] == "serve":
        main()
    else:
        run_worker(LearningCore, TrainingPace(first_save_s=0.1, save_every_s=0.3))
