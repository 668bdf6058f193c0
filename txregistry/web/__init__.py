# SPDX-License-Identifier: Apache-2.0
"""HTTP: the routing table, bodies in and out, errors as answers."""
