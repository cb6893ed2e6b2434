"""Work on files that may be damaged. Whether the HDF5 library then crashes, loops or asks for all memory depends on its
version and the damage, and none may happen to a notebook: a child process does the work, with limits on its time and its
memory."""

import faulthandler
import os
import pickle
import resource
import select
import signal
import time
import warnings
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds after which the work is given up.
LONGEST = 60.0
#: Bytes that the work may need beside what the process has.
SPARE_MEMORY = 2 << 30


class Broken(Exception):
    """The work ended without a result: it crashed or took too long."""


def guarded(work: Callable[[], T], memory: int = 0) -> T:
    """What `work` returns, or raises what it raises, with its cause. `memory`: further bytes that it may need. Raises
    Broken where there is neither."""
    receive, send = os.pipe()
    with warnings.catch_warnings():
        # Of threads, which the child does not have: it needs none, and h5py and malloc keep their locks over a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(receive)
        _answer(work, send, memory)
    os.close(send)
    try:
        answer = _receive(receive)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        os.close(receive)
        status = os.waitpid(child, 0)[1]
    if status != 0 or not answer:
        raise Broken(f"ended with {os.waitstatus_to_exitcode(status)}")
    result, error, cause = pickle.loads(answer)
    if error is not None:
        raise error from cause
    return result  # type: ignore[no-any-return]


def _receive(pipe: int) -> bytes:
    parts: list[bytes] = []
    end = time.monotonic() + LONGEST
    while select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
        part = os.read(pipe, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)
    raise Broken(f"took longer than {LONGEST:g} s")


def _answer(work: Callable[[], T], pipe: int, memory: int) -> None:
    """Of the child, which ends with it."""
    code = 1
    try:
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _limit_memory(memory)
        answer: tuple[T | None, BaseException | None, BaseException | None]
        try:
            answer = (work(), None, None)
        except Exception as error:
            answer = (None, error, error.__cause__)
        with os.fdopen(pipe, "wb") as stream:
            pickle.dump(answer, stream, pickle.HIGHEST_PROTOCOL)
        code = 0
    finally:
        # Nothing of the parent's is to be done here: no buffers flushed, no files deleted.
        os._exit(code)


def _limit_memory(memory: int) -> None:
    try:
        with open("/proc/self/statm") as pages:
            now = int(pages.read().split()[0]) * resource.getpagesize()
    except OSError:  # not Linux
        return
    limit = now + SPARE_MEMORY + memory
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
