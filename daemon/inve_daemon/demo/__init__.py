"""From nothing to an edited clip: what `inve-daemon demo` does, with every error measured.

`stage` has the clip, `placement` says where to paint on it, `stack` what, `serving` runs the daemon,
`results` and `inspection` read back what it rendered, `measures` compares with the truth, `pictures`
draws what there is to look at, `report` holds figures against targets, and `run` puts them in order. All
of it is a client: torch stays in the daemon's worker.
"""

from inve_daemon.demo.run import run_demo

__all__ = ["run_demo"]
