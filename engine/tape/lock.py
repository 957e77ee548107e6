"""Who may touch a tape's files: any number of recording processes, or one compaction. Readers need no lock.

The lock is an advisory `flock` on `.lock` in the tape's folder: it goes with the process, however that ends.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from engine.errors import UserError
from engine.tape.segment import told

LOCK = ".lock"

_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
"""What file systems without `flock` answer (some FUSE and Lustre mounts)."""


def lock_for_writing(folder: Path) -> int:
    """Hold the tape together with other writers; returns the open file, and closing it lets go.

    Raises:
        UserError: the tape is being compacted, or its folder cannot be written.
    """
    file = _open(folder)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise UserError(f"{folder}: this tape is being compacted\n  → run the same command again when that has finished") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(file)
            raise
    return file


@contextlib.contextmanager
def locked_for_compaction(folder: Path) -> Iterator[None]:
    """Hold the tape alone.

    Raises:
        UserError: a run is writing to it, or its file system cannot tell.
    """
    file = _open(folder)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder}: a run is writing to this tape\n  → compact it when the run has ended") from None
        except OSError as error:
            raise UserError(
                f"{folder}: this file system has no locks ({error.strerror}), so a run may be writing unseen\n"
                "  → copy the folder to a local disk and compact it there"
            ) from error
        yield
    finally:
        os.close(file)


def _open(folder: Path) -> int:
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
