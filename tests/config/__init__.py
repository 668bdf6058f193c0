# SPDX-License-Identifier: Apache-2.0
"""Tests of the configuration: tables of what is taken, and of every sentence that refuses."""
