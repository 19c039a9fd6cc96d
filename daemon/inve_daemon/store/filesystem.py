"""Is a folder on this machine's own disk? SQLite's write-ahead log does not work on network file systems."""

import os
import subprocess
import sys
from pathlib import Path

_NETWORK_TYPES = frozenset(
    {
        "9p", "acfs", "afpfs", "afs", "beegfs", "ceph", "cephfs", "cifs", "coda", "davfs", "fuse.ceph",
        "fuse.davfs", "fuse.glusterfs", "fuse.gvfsd-fuse", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
        "glusterfs", "gpfs", "lustre",
        "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "smb2", "smb3", "smbfs", "virtiofs", "vboxsf", "webdav",
    }
)  # fmt: skip


def network_type(folder: Path) -> str | None:
    """The type of the network file system that a folder lies on, or None where it is local.

    Args:
        folder: an existing folder.
    """
    real = os.path.realpath(folder)
    if sys.platform == "win32":
        return _windows_type(real)
    kind = _mount_type(real, _macos_mounts() if sys.platform == "darwin" else linux_mounts())
    return kind if kind in _NETWORK_TYPES else None


def _mount_type(real: str, mounts: list[tuple[str, str]]) -> str:
    """The type of the innermost mount that a resolved path lies on; the last one of equal depth is on top."""
    best_point, best_type = "", ""
    for point, kind in mounts:
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best_point):
            best_point, best_type = point, kind
    return best_type


def linux_mounts(table: Path = Path("/proc/self/mountinfo")) -> list[tuple[str, str]]:
    """Mount points and file system types, in the order they were mounted."""
    mounts = []
    for line in table.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4]
        for code, sign in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
            point = point.replace(code, sign)
        mounts.append((point, right.split(" ")[0]))
    return mounts


def _macos_mounts() -> list[tuple[str, str]]:
    listed = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=True, timeout=10).stdout
    mounts = []
    for line in listed.splitlines():
        point, _, facts = line.partition(" on ")[2].rpartition(" (")
        mounts.append((point, facts.split(",")[0].rstrip(")")))
    return mounts


def _windows_type(real: str) -> str | None:
    if sys.platform == "win32":
        import ctypes

        drive, _ = os.path.splitdrive(real)
        remote_drive = 4
        if drive.startswith("\\\\") or ctypes.windll.kernel32.GetDriveTypeW(drive + "\\") == remote_drive:
            return "network drive"
    return None
