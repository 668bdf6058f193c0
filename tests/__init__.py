# SPDX-License-Identifier: Apache-2.0
"""Tests; the folders mirror the rooms, ``functional`` has real processes, sockets and clients."""
