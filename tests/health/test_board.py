# SPDX-License-Identifier: Apache-2.0
"""What is known of a host's health where another process has found it."""

from txregistry.health import Board, Problem


def test_what_another_process_found_is_shown_until_it_finds_otherwise():
    board = Board()
    board.add_condition("registry", "registry", lambda: "")
    problem = Problem("/flag", "file", "the file exists")
    board.tell([problem], has_failing_check=True)
    assert board.problems() == {"/flag": problem}
    assert board.has_failing_check()
    board.tell([], has_failing_check=False)
    assert board.problems() == {}
    assert not board.has_failing_check()


def test_what_is_found_here_is_shown_first():
    board = Board()
    board.add_condition("storage", "storage", lambda: "it is gone")
    board.tell([Problem("storage", "storage", "it is slow")], has_failing_check=False)
    assert board.problems()["storage"].text == "it is gone"
