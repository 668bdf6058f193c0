# SPDX-License-Identifier: Apache-2.0
"""Every metric there is.

Room: metrics. Names are registry:3's where they mean the same; ``docs/operate/monitoring.md`` says
what to make of them, and a test holds both together. A label's values are few and known, whatever
clients send: repositories, users and paths are never labels.
"""

from __future__ import annotations

import enum

from attrs import frozen


class Kind(enum.Enum):
    """What a number does."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@frozen
class Family:
    """One metric.

    Attributes:
        name: without ``_total`` if it is a counter, which the exposition adds.
        labels: names of its labels, in the order of their values.
        meaning: one sentence.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str

    @property
    def exposed(self) -> str:
        """The name in the exposition and in documents."""
        return self.name + "_total" if self.kind is Kind.COUNTER else self.name


_COUNTER, _GAUGE, _HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

_ALL = (
    # registry:3's, told by the requests themselves
    Family("registry_http_requests", _COUNTER, ("handler", "code", "method"), "Answered requests."),
    Family(
        "registry_http_request_duration_seconds",
        _HISTOGRAM,
        ("handler", "method"),
        "From the end of a request's head to the end of its answer.",
    ),
    Family("registry_http_request_size_bytes", _HISTOGRAM, ("handler",), "Bodies of requests."),
    Family("registry_http_response_size_bytes", _HISTOGRAM, ("handler",), "Bodies of answers."),
    Family(
        "registry_http_in_flight_requests",
        _GAUGE,
        ("handler",),
        "Requests that are being answered, those included whose client has left.",
    ),
    # ours
    Family("registry_http_refusals", _COUNTER, ("error",), "Refusals, by the error's code."),
    Family("registry_http_connections", _GAUGE, (), "Connections of clients that are open."),
    Family(
        "registry_http_body_memory_bytes",
        _GAUGE,
        ("kind",),
        "Bodies that wait in memory: queue (to be stored) or whole (manifests).",
    ),
    Family(
        "registry_upload_sessions",
        _COUNTER,
        ("step",),
        "Upload sessions that were started, finished or cancelled by clients.",
    ),
    Family(
        "registry_upload_sessions_open",
        _GAUGE,
        (),
        "Those that were started here, have not ended and were used within the last hour.",
    ),
    # storage
    Family(
        "registry_storage_action_seconds",
        _HISTOGRAM,
        ("driver", "action"),
        "Time that a call of the driver took, its process and the way there included.",
    ),
    Family(
        "registry_storage_action_errors",
        _COUNTER,
        ("driver", "action", "error"),
        "Calls that the driver refused; Missing and Exists are mostly answers, not trouble.",
    ),
    # caches: registry:3's, then ours
    Family(
        "registry_storage_cache_requests",
        _COUNTER,
        ("cache",),
        "Contents that a cache was asked for.",
    ),
    Family("registry_storage_cache_hits", _COUNTER, ("cache",), "Those that it had."),
    Family(
        "registry_storage_cache_errors",
        _COUNTER,
        ("cache",),
        "Reads and writes that Redis did not answer, or not soon.",
    ),
    Family(
        "registry_storage_cache_redis_seconds",
        _HISTOGRAM,
        ("operation",),
        "Time that Redis took for a Get or a Set, those included that were given up.",
    ),
    Family(
        "registry_storage_cache_bytes", _GAUGE, ("cache",), "Memory of a cache in this process."
    ),
    # the driver's process
    Family("registry_driver_up", _GAUGE, ("driver",), "1 while requests can reach the driver."),
    Family(
        "registry_driver_state",
        _GAUGE,
        ("driver", "state"),
        "1 for the state that the driver is in, 0 for the others.",
    ),
    Family(
        "registry_driver_storage_state",
        _GAUGE,
        ("driver", "state"),
        "1 for what the driver says of its storage: ok, no-space, read-only, suspect or other.",
    ),
    Family(
        "registry_driver_breaker_open",
        _GAUGE,
        ("driver",),
        "1 while requests are refused at once because the driver does not come up.",
    ),
    Family("registry_driver_greetings", _COUNTER, ("driver",), "Connections that it greeted."),
    Family(
        "registry_driver_deaths",
        _COUNTER,
        ("driver",),
        "Ends of the driver's process that nobody asked for.",
    ),
    Family(
        "registry_driver_replacements",
        _COUNTER,
        ("driver", "reason"),
        "Replacements of its process by a fresh one, for its memory or its operations.",
    ),
    Family(
        "registry_driver_ping_seconds",
        _GAUGE,
        ("driver",),
        "What the newest ping took, there and back: the latency between the processes.",
    ),
    Family(
        "registry_driver_refused_operations",
        _COUNTER,
        ("driver",),
        "Operations for which there was no place left to wait for the driver.",
    ),
    Family(
        "registry_driver_given_up_operations",
        _COUNTER,
        ("driver",),
        "Operations that were in flight at too many of its deaths.",
    ),
    Family(
        "registry_driver_command_seconds",
        _HISTOGRAM,
        ("driver", "command"),
        "From a command's way to the driver's process to its answer, refusals included.",
    ),
    Family(
        "registry_driver_waiting_operations",
        _GAUGE,
        ("driver",),
        "Operations that wait here because as many are in progress as may be.",
    ),
    Family("registry_driver_operations", _GAUGE, ("driver",), "Operations in progress in it."),
    Family(
        "registry_driver_oldest_operation_seconds",
        _GAUGE,
        ("driver",),
        "Age of the oldest of them.",
    ),
    Family(
        "registry_driver_moved_bytes",
        _COUNTER,
        ("driver",),
        "Bytes over lanes since the start of the driver's process.",
    ),
    Family("registry_driver_resident_bytes", _GAUGE, ("driver",), "Memory of its process."),
    Family("registry_driver_open_descriptors", _GAUGE, ("driver",), "Its open descriptors."),
    Family(
        "registry_replay_window_bytes",
        _GAUGE,
        ("driver",),
        "Bytes of uploads that the driver has not confirmed, kept for its death.",
    ),
    Family("registry_replay_window_limit_bytes", _GAUGE, ("driver",), "Most that may be kept."),
    Family(
        "registry_replay_unprotected_uploads",
        _COUNTER,
        ("driver",),
        "Uploads that went on without such a copy because there was no room for it.",
    ),
    # notifications: registry:3's, then ours
    Family(
        "registry_notifications_events",
        _COUNTER,
        ("type", "endpoint"),
        "Events (queued), Successes (delivered) and Failures (requests that failed).",
    ),
    Family(
        "registry_notifications_status",
        _COUNTER,
        ("code", "endpoint"),
        "Requests to the endpoint, by the status of the answer; none for no answer.",
    ),
    Family(
        "registry_notifications_dropped",
        _COUNTER,
        ("reason", "endpoint"),
        "Events that were given up: size, age, refused or damaged.",
    ),
    Family(
        "registry_notifications_pending_total",
        _GAUGE,
        ("endpoint",),
        "Events in the queue on disk that the endpoint has not been told.",
    ),
    Family(
        "registry_notifications_waiting_bytes",
        _GAUGE,
        ("endpoint",),
        "Of the queue on disk, what the endpoint has not been told.",
    ),
    Family(
        "registry_notifications_oldest_seconds",
        _GAUGE,
        ("endpoint",),
        "How long the oldest event has waited; 0 if none waits.",
    ),
    Family(
        "registry_notifications_unqueued",
        _COUNTER,
        ("reason",),
        "Events that never reached the queue: pull (left out) or refused (the request failed).",
    ),
    # processes beside this one
    Family(
        "registry_pool_working",
        _GAUGE,
        ("pool",),
        "Processes that compare a password or parse a large manifest at the moment.",
    ),
    Family(
        "registry_pool_waiting", _GAUGE, ("pool",), "Passwords and manifests that wait for one."
    ),
    Family(
        "registry_pool_refused",
        _COUNTER,
        ("pool",),
        "Logins that found no place to wait (429), manifests that a process died of (503).",
    ),
    # several front ends
    Family(
        "registry_front_ends",
        _GAUGE,
        (),
        "Processes beside the main one that serve clients; 0 if it serves them itself.",
    ),
    Family(
        "registry_front_end_deaths",
        _COUNTER,
        (),
        "Ends of such processes that nobody asked for.",
    ),
    # this host
    Family("registry_ready", _GAUGE, (), "1 while this host may be sent requests."),
    Family(
        "registry_health_failing",
        _GAUGE,
        ("check", "kind"),
        "1 while the check or condition fails, else 0.",
    ),
    Family("registry_build_info", _GAUGE, ("version",), "1; its label is the version."),
)

#: Name -> metric.
FAMILIES = {family.name: family for family in _ALL}
