# SPDX-License-Identifier: Apache-2.0
"""The fault lab: machines that try to make the registry lose what it has acknowledged.

Each campaign breaks one thing, many times, and counts: tried, survived, lost. ``make faults`` runs
the long form, whose results are in ``docs/reliability.md``; the short form is part of ``make
test``.

    journal   what clients were told, so what must be there
    oracle    what is on the disk; ``checker`` adds the product's own opinion
    patrons   scripted clients that keep the journal
    disk      an ext4 in a file whose power can be cut, and a small tmpfs
    shim      the driver's calls, counted and failed
    states    the states that a power cut could have left, from one recorded trace
    links     a proxy that is slow, cuts and stalls
    virtual   a host in one thread; ``simulation`` a registry on it, ``tenants`` its clients
    campaign  counts; ``report`` makes the tables of what was counted
"""
