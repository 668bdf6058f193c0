# SPDX-License-Identifier: Apache-2.0
"""The storage contract over AMP and descriptors: commands, lanes, the remote driver, the
responder.
"""
