"""The daemon's memory: one folder with a database and content-addressed files. Acknowledged means on disk."""

from inve_daemon.store.store import ShotRecord, Store, expect_revision

__all__ = ["ShotRecord", "Store", "expect_revision"]
