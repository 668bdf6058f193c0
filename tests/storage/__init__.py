# SPDX-License-Identifier: Apache-2.0
"""Tests of storage and of the drivers that come with the registry."""
