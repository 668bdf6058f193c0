# SPDX-License-Identifier: Apache-2.0
"""Storage drivers that come with the registry, each a program: ``python -m
txregistry_drivers.<name>``.
"""
