# SPDX-License-Identifier: Apache-2.0
"""Running digests that can be put down in one process and taken up in another.

Room: storage. Must not know paths, drivers or Twisted. ``hashlib`` can neither save nor load a
state, so this calls the SHA functions of the libcrypto that Python's own ``hashlib`` is linked
with, and translates their contexts into the form of Go's ``encoding.BinaryMarshaler``, which the Go
registry keeps as ``hashstates/<algorithm>/<offset>``::

    sha256  "sha" 03 | eight 32-bit words |  64 bytes of block, zero-filled | length    108 bytes
    sha512  "sha" 07 | eight 64-bit words | 128 bytes of block, zero-filled | length    204 bytes

Numbers are big-endian, the length is 64 bits wide and counts bytes. Nothing in it can be executed
by its reader. Where no shared libcrypto is found, or it does not agree with ``hashlib`` at its
first use, ``hashlib`` computes and nothing can be exported: stored bytes are hashed again instead.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import struct
from collections.abc import Iterable, Mapping
from typing import Protocol

from attrs import frozen

from txregistry.storage.errors import Unsupported

#: Tried after the library that is already in this process; sonames of OpenSSL 4, 3 and 1.1.
_SONAMES = ("libcrypto.so.4", "libcrypto.so.3", "libcrypto.so.1.1")

#: Go counts bytes in 64 bits, libcrypto bits in 64: a longer state can't be loaded (and isn't
#: real).
_LENGTH_LIMIT = 1 << 61


class _Context256(ctypes.Structure):
    """``SHA256_CTX`` of OpenSSL's sha.h."""

    _fields_ = (
        ("h", ctypes.c_uint32 * 8),
        ("bits_low", ctypes.c_uint32),
        ("bits_high", ctypes.c_uint32),
        ("block", ctypes.c_ubyte * 64),
        ("used", ctypes.c_uint),
        ("digest_size", ctypes.c_uint),
    )


class _Context512(ctypes.Structure):
    """``SHA512_CTX`` of OpenSSL's sha.h."""

    _fields_ = (
        ("h", ctypes.c_uint64 * 8),
        ("bits_low", ctypes.c_uint64),
        ("bits_high", ctypes.c_uint64),
        ("block", ctypes.c_ubyte * 128),
        ("used", ctypes.c_uint),
        ("digest_size", ctypes.c_uint),
    )


@frozen
class _Form:
    """How one algorithm looks to libcrypto and to Go."""

    algorithm: str
    prefix: str
    context: type[_Context256] | type[_Context512]
    magic: bytes
    words: struct.Struct
    block_size: int
    digest_size: int

    @property
    def state_size(self) -> int:
        return len(self.magic) + self.words.size + self.block_size + 8


_FORMS: Mapping[str, _Form] = {
    "sha256": _Form("sha256", "SHA256", _Context256, b"sha\x03", struct.Struct(">8I"), 64, 32),
    "sha512": _Form("sha512", "SHA512", _Context512, b"sha\x07", struct.Struct(">8Q"), 128, 64),
}

#: What a driver can compute.
ALGORITHMS = tuple(_FORMS)


class _Computing(Protocol):
    """What computes: libcrypto, or hashlib where that is not to be had."""

    def update(self, data: bytes | bytearray | memoryview, /) -> object: ...

    def hexdigest(self) -> str: ...


class _Libcrypto:
    """One running SHA in libcrypto's memory layout. The calls release the GIL."""

    def __init__(self, library: ctypes.CDLL, form: _Form) -> None:
        self._form = form
        self._context = form.context()
        self._update = library[f"{form.prefix}_Update"]
        self._update.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        self._final = library[f"{form.prefix}_Final"]
        self._final.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        start = library[f"{form.prefix}_Init"]
        start.argtypes = [ctypes.c_void_p]
        start(ctypes.byref(self._context))

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        view = memoryview(data)
        if isinstance(data, bytes):
            self._update(ctypes.byref(self._context), data, len(data))
        elif view.readonly or not view.c_contiguous:
            # ctypes gives no address of read-only memory that isn't a bytes object.
            copy = view.tobytes()
            self._update(ctypes.byref(self._context), copy, len(copy))
        elif view.nbytes:
            first = ctypes.c_char.from_buffer(view.cast("B"))
            self._update(ctypes.byref(self._context), ctypes.addressof(first), view.nbytes)

    def hexdigest(self) -> str:
        # Final wipes what it is given; the running state must go on.
        context = type(self._context).from_buffer_copy(self._context)
        digest = ctypes.create_string_buffer(self._form.digest_size)
        self._final(digest, ctypes.byref(context))
        return digest.raw.hex()

    def export(self, length: int) -> bytes:
        words, block = tuple(self._context.h), bytes(self._context.block)
        filled = block[: length % self._form.block_size].ljust(self._form.block_size, b"\0")
        return self._form.magic + self._form.words.pack(*words) + filled + length.to_bytes(8)

    def load(self, state: bytes) -> int:
        """Take a state of the right size and magic; returns its length in bytes."""
        words_at = len(self._form.magic)
        block_at = words_at + self._form.words.size
        length = int.from_bytes(state[-8:])
        used = length % self._form.block_size
        context = self._context
        context.h[:] = self._form.words.unpack_from(state, words_at)
        # The bit count is two words of the context's own width; ctypes keeps the low bits of each.
        context.bits_low = length * 8
        context.bits_high = length * 8 >> self._form.block_size // 2
        context.block[:] = state[block_at : block_at + used].ljust(self._form.block_size, b"\0")
        context.used = used
        context.digest_size = self._form.digest_size
        return length


def _mapped_libraries(maps: str = "/proc/self/maps") -> list[str]:
    """Files of libcrypto that are in this process: ``hashlib`` has loaded the one it is linked
    with.
    """
    try:
        with open(maps) as lines:
            return sorted({line.split()[-1] for line in lines if "libcrypto" in line})
    except OSError:
        return []


def find_library(names: Iterable[str]) -> ctypes.CDLL | None:
    """The first of ``names`` that loads and computes what ``hashlib`` does, also across an
    export.
    """
    for name in names:
        try:
            library = ctypes.CDLL(name)
            if all(_agrees(library, form) for form in _FORMS.values()):
                return library
        except (OSError, AttributeError):  # not there; or it lacks the functions
            continue
    return None


def _agrees(library: ctypes.CDLL, form: _Form) -> bool:
    sample = bytes(range(256)) * 3
    for cut in (0, 1, form.block_size, form.block_size * 2 + 5):
        first, second = _Libcrypto(library, form), _Libcrypto(library, form)
        first.update(sample[:cut])
        second.load(first.export(cut))
        second.update(sample[cut:])
        if second.hexdigest() != hashlib.new(form.algorithm, sample).hexdigest():
            return False
    return True


@functools.cache
def _library() -> ctypes.CDLL | None:
    return find_library((*_mapped_libraries(), *_SONAMES))


class RunningHash:
    """A digest of bytes as they arrive. For one thread at a time; ``update`` releases the GIL.

    Args:
        algorithm: ``sha256`` or ``sha512``.

    Attributes:
        algorithm: the name.
        length: bytes taken so far, those before a restored state included.

    Raises:
        Unsupported: the algorithm is not known.
    """

    def __init__(self, algorithm: str) -> None:
        form = _FORMS.get(algorithm)
        if form is None:
            raise Unsupported(f"the digest algorithm {algorithm[:32]!r} is not known")
        library = _library()
        self.algorithm = algorithm
        self.length = 0
        self._native = _Libcrypto(library, form) if library is not None else None
        self._computing: _Computing = self._native or hashlib.new(algorithm)

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes. ``bytes`` and writable contiguous buffers are not copied."""
        self._computing.update(data)
        self.length += memoryview(data).nbytes

    def hexdigest(self) -> str:
        """The digest of what was taken so far, in lower-case hex; more may follow."""
        return self._computing.hexdigest()

    def export(self) -> bytes | None:
        """The state in Go's binary form, or None where only ``hashlib`` computes."""
        return self._native.export(self.length) if self._native is not None else None

    @classmethod
    def restore(cls, algorithm: str, state: bytes) -> RunningHash | None:
        """Go on from a state in Go's binary form.

        Returns:
            None if ``state`` is not one, or where only ``hashlib`` computes.

        Raises:
            Unsupported: the algorithm is not known.
        """
        running = cls(algorithm)
        form = _FORMS[algorithm]
        if (
            running._native is None
            or len(state) != form.state_size
            or not state.startswith(form.magic)
        ):
            return None
        if int.from_bytes(state[-8:]) >= _LENGTH_LIMIT:
            return None
        running.length = running._native.load(state)
        return running
