# SPDX-License-Identifier: Apache-2.0
"""File systems that a test owns: an ext4 in a file, whose power can be cut, and a small tmpfs.

The cut is ``FS_IOC_SHUTDOWN`` with ``NOLOGFLUSH``: from that instant nothing more reaches the disk,
not even the journal's open transaction. Unmounting then forgets what was in memory, and the next
mount replays the journal, as after a loss of power.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

#: ``_IOR('X', 125, __u32)`` and its mode "without flushing the log" (linux/fs.h, fs/ext4/ext4.h).
FS_IOC_SHUTDOWN = 0x8004587D
NOLOGFLUSH = 2

#: Seconds for the last user of a mount to be gone.
BUSY_TIMEOUT = 20.0

MIB = 1024 * 1024


class CannotMount(Exception):
    """This machine, or this user, has no loop devices or no mounts."""


def check_mounts(directory):
    """Whether we may mount here.

    Raises:
        CannotMount: we may not.
    """
    disk = Disk(Path(directory) / "probe", size=8 * MIB)
    try:
        with disk:
            disk.cut()
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotMount(str(error)) from error


class Disk:
    """An ext4 in a file.

    Use as a context: mounted inside, unmounted and gone after it.

    Args:
        directory: holds the file and the place where it is mounted.
        options: of the mount.
        format_options: of mkfs.ext4.
    """

    def __init__(self, directory, options="", format_options=(), *, size=64 * MIB):
        self.directory = Path(directory)
        self.image = self.directory / "disk.img"
        self.path = self.directory / "disk"
        self.options = ",".join(filter(None, ["loop", options]))
        self.format_options = format_options
        self.size = size
        self.is_mounted = False

    def __enter__(self):
        self.directory.mkdir(parents=True)
        self.path.mkdir()
        with self.image.open("wb") as file:
            file.truncate(self.size)
        _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0", *self.format_options, self.image)
        self.mount()
        return self

    def __exit__(self, *_):
        self.unmount()
        shutil.rmtree(self.directory)

    def mount(self):
        _run("mount", "-t", "ext4", "-o", self.options, self.image, self.path)
        self.is_mounted = True

    def cut(self):
        """The power goes."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(descriptor)

    def unmount(self):
        if self.is_mounted:
            unmount(self.path)
            self.is_mounted = False
            self._leave_behind()

    def _leave_behind(self):
        """Take the disk out of whatever holds it still.

        Who makes a mount namespace (a container, or podman for each layer that it unpacks) has our
        mount in it, too. As long as that stands, mounting the image again would find the file
        system that is dead, on the same loop device, and all that one gets of it is ``EIO``. So a
        copy goes on; the dead write nothing any more.
        """
        if any(_is_same(backing, self.image) for backing in _backing_files()):
            copy = self.image.with_suffix(".copy")
            shutil.copyfile(self.image, copy)
            copy.replace(self.image)

    def is_half_full(self):
        status = os.statvfs(self.path)
        return status.f_bavail < status.f_blocks / 2 or status.f_favail < status.f_files / 2


class SmallDisk:
    """A tmpfs of few bytes and few inodes."""

    def __init__(self, path, *, size, inodes):
        self.path = Path(path)
        self.options = f"size={size},nr_inodes={inodes}"

    def __enter__(self):
        self.path.mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", self.options, "tmpfs", self.path)
        return self

    def __exit__(self, *_):
        unmount(self.path)

    def resize(self, size):
        _run("mount", "-o", f"remount,size={size}", self.path)


def _backing_files():
    """The files behind all loop devices that have one."""
    for device in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):  # it was freed meanwhile
            yield Path(device.read_text().rstrip("\n"))


def _is_same(path, other):
    try:
        return path.samefile(other)
    except OSError:
        return False


def unmount(path):
    """Unmount as soon as the last user is gone; a mount that stays busy is detached."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            return _run("umount", path)
        except subprocess.CalledProcessError as error:
            if time.monotonic() > deadline:
                _run("umount", "--lazy", path)
                raise AssertionError(f"{path} is still in use: {error.stderr}") from error
            time.sleep(0.02)


def _run(*command):
    try:
        subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        with contextlib.suppress(AttributeError):
            error.add_note(error.stderr)
        raise


def pick_directory(tmp_path):
    """Where images lie best: in memory, if there is room, so that other users of the disk do not
    slow us.
    """
    shared = Path("/dev/shm")
    if os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > 512 * MIB:
        return shared / f"faults-{os.getpid()}-{tmp_path.name}"
    return tmp_path / "disks"
