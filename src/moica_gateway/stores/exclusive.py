"""One process takes up the work of one SQLite file.

Two would poll every ticket and deliver every event twice. The lock is the operating system's, on a
file beside the database: it ends with the process, however that ends, so that a restart after a
crash finds it free. Commands that only read or set something up do not take it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from moica_gateway.errors import error
from moica_gateway.stores.runner import unavailable
from moica_gateway.stores.sqlite import database_file

__all__ = ["only_process"]


@contextmanager
def only_process(url: str) -> Iterator[None]:
    """Held until the end of the block.

    Raises:
        ConfigurationError: ``configuration_invalid`` while another process holds it, or
            ``storage_unavailable`` when the file cannot be made.
    """
    file = database_file(url)
    if not file.exists():
        # Nobody serves what is not there; opening it says what to do.
        yield
        return
    lock = file.with_name(file.name + ".lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise unavailable(f"the file beside it could not be made ({e.strerror})") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise error(
                "configuration_invalid",
                "expected to be alone with this database, came another process that serves it; "
                "the operator stops that one first, or gives this one a `data_dir` of its own",
            ) from None
        yield
    finally:
        os.close(descriptor)
