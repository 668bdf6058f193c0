# SPDX-License-Identifier: Apache-2.0
"""What a driver's process gives up once it runs, as far as the kernel lets it.

Room: process. Called in the driver's own process, after its store is open and everything is
imported. Each measure is taken by itself; what could not be had is left out, and the rest is
reported by name:

    no-new-privs   nothing that it starts can gain rights (prctl, Linux 3.5)
    limits         no core dumps, memory not readable by others (RLIMIT_CORE, PR_SET_DUMPABLE)
    files          reads and writes only below the store's own directories (Landlock ABI 1, Linux
                   5.13)
    network        no TCP at all (Landlock ABI 4, Linux 6.7), and as root no network of any kind (a
                   network namespace of its own)
    user           a user id of its own, not the registry's (the registry sets it)

The order is the kernel's: Landlock needs no-new-privs.
"""

from __future__ import annotations

import ctypes
import os
import resource
import stat
import sys
from collections.abc import Callable, Iterable, Sequence

from twisted.logger import Logger

#: All measures, strongest demands last; ``isolation: required`` wants those that a driver's kind
#: can have.
MEASURES = ("no-new-privs", "limits", "files", "network", "user")

_CLONE_NEWNET = 0x40000000
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38

# landlock(7); the numbers are the same on every architecture
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read file, read directory
#: Rights that exist from each ABI on: 1 the first 13, 2 refer, 3 truncate, 5 ioctl on devices.
_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_FILE_ONLY = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
#: bind and connect by TCP, from ABI 4 on.
_NETWORK_ABI = 4
_NETWORK = 1 << 0 | 1 << 1

_libc = ctypes.CDLL(None, use_errno=True)
_log = Logger()


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled_fs", ctypes.c_uint64), ("handled_net", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def _for_life(descriptor: int) -> None:
    """Leave it open: nobody closes it before the process ends."""


def confine(
    writable: Sequence[str] | None,
    *,
    needs_network: bool,
    hold: Callable[[int], object] = _for_life,
) -> tuple[str, ...]:
    """Give up what the driver does not need.

    Args:
        writable: directories that the store reads and writes; None if it can't say, which keeps
            files free.
        needs_network: the store talks TCP.
        hold: is given each descriptor that must stay open for as long as the measures are to hold.

    Returns:
        The measures that took effect, in the order of :data:`MEASURES`.
    """
    reached = []
    if not needs_network and _leave_network():
        reached.append("network")
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1):
        reached.append("no-new-privs")
    if _limit():
        reached.append("limits")
    reached += _landlock(writable, needs_network=needs_network, hold=hold)
    if _has_own_user():
        reached.append("user")
    return tuple(measure for measure in MEASURES if measure in reached)


def landlock_abi() -> int:
    """The version of Landlock that the kernel has; 0 without it."""
    version: int = _libc.syscall(
        ctypes.c_long(_CREATE_RULESET),
        None,
        ctypes.c_size_t(0),
        ctypes.c_uint32(_CREATE_RULESET_VERSION),
    )
    return max(version, 0)


def library_directories() -> tuple[str, ...]:
    """What Python reads after the start: modules that are imported late, shared libraries, time
    zones, and of /proc what is about this process or the machine: other processes have secrets in
    their environments.
    """
    prefixes = {sys.prefix, sys.base_prefix, *(path for path in sys.path if path)}
    system = (
        "/usr",
        "/lib",
        "/lib64",
        "/etc",
        *("/proc/self", "/proc/sys", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat"),
        "/sys/devices/system/cpu",
        "/dev/null",
        "/dev/urandom",
    )
    return tuple(path for path in (*sorted(prefixes), *system) if os.path.exists(path))


def _has_own_user() -> bool:
    try:
        return os.stat(f"/proc/{os.getppid()}").st_uid != os.geteuid()
    except OSError:
        return False


def _leave_network() -> bool:
    """Have no network but an own one without any interface; only root may."""
    done: int = _libc.unshare(_CLONE_NEWNET)
    return done == 0


def _prctl(option: int, value: int) -> bool:
    done: int = _libc.prctl(option, value, 0, 0, 0)
    return done == 0


def _limit() -> bool:
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        return False
    return _prctl(_PR_SET_DUMPABLE, 0)


def _landlock(
    writable: Sequence[str] | None, *, needs_network: bool, hold: Callable[[int], object]
) -> list[str]:
    abi = landlock_abi()
    files = 0
    if abi and writable is not None:
        files = sum(rights for since, rights in _RIGHTS.items() if since <= abi)
    network = _NETWORK if abi >= _NETWORK_ABI and not needs_network else 0
    if not files and not network:
        return []
    ruleset = _create_ruleset(files, network)
    if ruleset < 0:
        return []
    try:
        if files:
            _allow(ruleset, library_directories(), files & _READ, hold)
            _allow(ruleset, writable or (), files, hold)
        if (
            _libc.syscall(ctypes.c_long(_RESTRICT_SELF), ctypes.c_int(ruleset), ctypes.c_uint32(0))
            != 0
        ):
            return []
    except OSError as error:
        _log.warn("files and network are not confined: {error}", error=str(error))
        return []
    finally:
        os.close(ruleset)
    return [name for name, is_reached in (("files", files), ("network", network)) if is_reached]


def _create_ruleset(files: int, network: int) -> int:
    attributes = _Ruleset(files, network)
    # Older kernels know the first member only, and refuse a longer structure unless the rest is
    # zero.
    descriptor: int = _libc.syscall(
        ctypes.c_long(_CREATE_RULESET),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
        ctypes.c_uint32(0),
    )
    return descriptor


def _allow(ruleset: int, paths: Iterable[str], rights: int, hold: Callable[[int], object]) -> None:
    """Make a rule for each path.

    Of what is in /proc a descriptor stays open: the rule is about what the kernel has in memory for
    the path, and would be void once that is forgotten, when memory is short, and made anew.
    """
    for path in paths:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            _add_rule(ruleset, path, descriptor, rights)
        except OSError:
            os.close(descriptor)
            raise
        if path.startswith("/proc/"):
            hold(descriptor)
        else:
            os.close(descriptor)


def _add_rule(ruleset: int, path: str, descriptor: int, rights: int) -> None:
    is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
    rule = _PathBeneath(rights if is_directory else rights & _FILE_ONLY, descriptor)
    failed = _libc.syscall(
        ctypes.c_long(_ADD_RULE),
        ctypes.c_int(ruleset),
        ctypes.c_int(_RULE_PATH_BENEATH),
        ctypes.byref(rule),
        ctypes.c_uint32(0),
    )
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
