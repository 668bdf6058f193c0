# SPDX-License-Identifier: Apache-2.0
"""The rows of the table of bad inputs, by what is bad in them; ``bad_inputs`` has all of them."""
