# SPDX-License-Identifier: Apache-2.0
"""Tests of the registry room: over the memory store, without sockets, files, threads or time."""
