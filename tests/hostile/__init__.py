# SPDX-License-Identifier: Apache-2.0
"""Hostile and broken clients, on real servers over real sockets."""
