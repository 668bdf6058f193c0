# SPDX-License-Identifier: Apache-2.0
"""Values and grammar of the OCI and Docker registry protocols: no Twisted, no I/O, no clock."""
