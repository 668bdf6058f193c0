# SPDX-License-Identifier: Apache-2.0
"""Several front ends: processes that serve HTTP on the same sockets, and the one that keeps them.

The main process binds the sockets, starts the storage driver, and starts one process for each front
end (``http.workers``). A front end is given, by descriptors that it inherits, and nothing else::

    0     nothing (/dev/null)
    1 2   the main process's own, or pipes whose lines it writes
    3     a socket to the main process: frames (``channel``)
    4     what to serve, in a sealed memory file (``assignment``)
    5 ... the listening sockets

``share``       what of a configuration one of several front ends is told
``assignment``  all that it is told at its start
``channel``     what is said between the two while it runs
``run``         one such process, from its start to its end
``fleet``       all of them: started, started again, asked, ended

Must not know HTTP, nor what a front end does with a word that it is sent.
"""

from txregistry.fronts.assignment import Assignment, Entry
from txregistry.fronts.channel import Channel, Gone, Members, Told
from txregistry.fronts.fleet import Fleet, Words
from txregistry.fronts.run import Outlet
from txregistry.fronts.share import share_of

__all__ = [
    "Assignment",
    "Channel",
    "Entry",
    "Fleet",
    "Gone",
    "Members",
    "Outlet",
    "Told",
    "Words",
    "share_of",
]
