# SPDX-License-Identifier: Apache-2.0
"""Driver processes: start or attach, hello, liveness, restart."""
