# SPDX-License-Identifier: Apache-2.0
"""Tests of the oci room: tables and generated grammar, nothing else."""
