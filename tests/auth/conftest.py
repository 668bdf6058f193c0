# SPDX-License-Identifier: Apache-2.0
"""How Hypothesis runs in this room: by count and not by time, since the machine may be busy."""

from hypothesis import HealthCheck, settings

settings.register_profile("pure", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("pure")
