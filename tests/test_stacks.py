# SPDX-License-Identifier: Apache-2.0
"""What a dump shows, and what it does not."""

import signal
import threading

from txregistry.errand import Errand
from txregistry.stacks import REQUEST_LIMIT, dump


def test_requests_and_threads_are_shown():
    """An operator sees which request hangs, and where."""
    stop, started = threading.Event(), threading.Event()

    def wait_here():
        secret = "hunter2"
        started.set()
        stop.wait()
        assert secret

    thread = threading.Thread(target=wait_here, name="stuck")
    thread.start()
    try:
        started.wait()
        text = dump([Errand("7", method="GET", endpoint="blob", repository="lib/app")])
    finally:
        stop.set()
        thread.join()
    assert "requests that are being answered: 1\n  7 GET blob lib/app\n" in text
    assert "thread stuck\n" in text
    assert "in wait_here" in text
    assert "in test_requests_and_threads_are_shown" in text
    assert "= hunter2" not in text


def test_main_thread_is_shown_where_it_was_interrupted():
    frames = []
    previous = signal.signal(signal.SIGUSR2, lambda _, frame: frames.append(frame))
    try:
        signal.raise_signal(signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR2, previous)
    text = dump([], frames[0])
    assert "in test_main_thread_is_shown_where_it_was_interrupted" in text
    assert "in dump" not in text.partition("thread MainThread")[2].partition("thread ")[0]


def test_list_of_requests_has_an_end():
    text = dump([Errand(str(number)) for number in range(REQUEST_LIMIT + 10)])
    assert text.startswith(f"requests that are being answered: {REQUEST_LIMIT + 10}\n")
    assert text.count("\n  4") < REQUEST_LIMIT
    assert f"\n  {REQUEST_LIMIT - 1} " in text
    assert f"\n  {REQUEST_LIMIT} " not in text
