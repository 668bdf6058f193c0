# SPDX-License-Identifier: Apache-2.0
"""The bench: this registry and Debian's docker-registry do the same work in turns;
``docs/benchmarks.md``.

    run         options, rounds, turns
    phases      the four kinds of work of a turn, and what is sampled around each
    servers     one registry of either kind: its configuration, start, readiness, end
    processes   what /proc tells about a process tree: processor time, peak memory
    wire        HTTP over a bare socket: small requests, and the timed push and pull
    loads       wrk
    report      medians, ratios, the table, the JSON
    failures    the one exception: a sentence for who runs the bench

Knows the registries only by their command lines and by HTTP; imports nothing of txregistry.
"""
