# SPDX-License-Identifier: Apache-2.0
"""The route functions, a module per resource: text to values, one call of the registry, an
answer.
"""
