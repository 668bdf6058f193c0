# SPDX-License-Identifier: Apache-2.0
"""Who may do what, compared with a slow and readable second opinion."""

from __future__ import annotations

import enum
from itertools import product
from typing import Any, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.auth.decisions import (
    ANONYMOUS,
    CATALOG,
    REGISTRY,
    RULES,
    Action,
    Decision,
    Identity,
    Resource,
    Right,
    State,
    Verdict,
    decide,
)
from txregistry.oci.errors import Code
from txregistry.oci.names import RepositoryName

HERE = Resource.repository(RepositoryName("lib/app"))
ELSEWHERE = Resource.repository(RepositoryName("lib/app2"))

NOBODY = Identity()
OPEN = State(delete_enabled=True)
STATES = [State(read_only=a, delete_enabled=b) for a, b in product((False, True), repeat=2)]

WRITES = {
    Action.PUSH,
    Action.CONTINUE,
    Action.TAG_CREATE,
    Action.TAG_UPDATE,
    Action.DELETE,
    Action.CANCEL,
}


def holder(*actions: str, resource: Resource = HERE) -> Identity:
    return Identity("alice", frozenset(Right(resource, action) for action in actions))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("action", list(Action))
def test_everybody_may_do_everything_that_is_turned_on(action: Action, state: State) -> None:
    """Without authentication only read-only mode and disabled deletes stop anybody."""
    stopped = (state.read_only and action in WRITES) or (
        not state.delete_enabled and action is Action.DELETE
    )
    expected = Verdict.UNSUPPORTED if stopped else Verdict.ALLOW
    assert decide(ANONYMOUS, action, HERE, state).verdict is expected


def test_defaults_take_writes_and_no_deletes() -> None:
    """A registry of which nothing was configured can be pushed to, and nothing can be deleted from
    it.
    """
    assert decide(ANONYMOUS, Action.PUSH, HERE, State()).is_allowed
    assert not decide(ANONYMOUS, Action.DELETE, HERE, State()).is_allowed


@pytest.mark.parametrize("state", STATES)
def test_cancelling_an_upload_is_no_delete(state: State) -> None:
    """Who pushes may give up, deletes enabled or not; the right to delete is not what it takes."""
    expected = Verdict.UNSUPPORTED if state.read_only else Verdict.ALLOW
    assert decide(holder("push"), Action.CANCEL, HERE, state).verdict is expected
    assert decide(holder("delete"), Action.CANCEL, HERE, state).verdict is Verdict.DENY


@pytest.mark.parametrize("state", STATES)
def test_status_of_an_upload_is_told_to_who_may_push(state: State) -> None:
    """Also while the registry is read-only: what was sent is still there, to go on with later."""
    assert decide(holder("push"), Action.STATUS, HERE, state).is_allowed
    assert decide(holder("pull"), Action.STATUS, HERE, state).verdict is Verdict.DENY


@pytest.mark.parametrize("action", [action for action in Action if action is not Action.ASK])
def test_nobody_without_rights_is_asked_to_log_in(action: Action) -> None:
    """Who has not logged in is challenged, with the right that is missing, whatever the registry's
    state.
    """
    right = RULES[action].right
    for state in STATES:
        decision = decide(NOBODY, action, HERE, state)
        assert decision.verdict is Verdict.CHALLENGE
        assert decision.missing == (None if right is None else Right(HERE, right))


@pytest.mark.parametrize(
    "action", [action for action in Action if action not in (Action.ASK, Action.LOGIN)]
)
def test_somebody_without_rights_is_denied(action: Action) -> None:
    """Logging in again would not help who has logged in, and nothing is told of the registry's
    state.
    """
    for state in STATES:
        assert decide(holder(), action, HERE, state).verdict is Verdict.DENY


def test_login_needs_a_name_and_no_right() -> None:
    """The version check tells whether credentials are good."""
    assert decide(holder(), Action.LOGIN, REGISTRY, State()).is_allowed
    assert decide(NOBODY, Action.LOGIN, REGISTRY, State()).verdict is Verdict.CHALLENGE


@pytest.mark.parametrize(
    ("identity", "action", "resource"),
    [
        (holder("pull", resource=ELSEWHERE), Action.PULL, HERE),
        (holder("*"), Action.PULL, HERE),
        (holder("pull,push"), Action.PULL, HERE),
        (holder("Pull"), Action.PULL, HERE),
        (holder("pull", resource=Resource("repository", "*")), Action.PULL, HERE),
        (holder("pull", resource=Resource("repository", "lib")), Action.PULL, HERE),
        (holder("pull", resource=Resource("repository(plugin)", "lib/app")), Action.PULL, HERE),
        (holder("*", resource=Resource("repository", "catalog")), Action.CATALOG, CATALOG),
        (holder("pull", "push", "delete"), Action.CATALOG, CATALOG),
        (holder("pull", "push"), Action.DELETE, HERE),
        (holder("pull"), Action.PUSH, HERE),
        (holder("push"), Action.PULL, HERE),
        (holder("pull", "push", "delete", "*"), Action.ADMIN, REGISTRY),
    ],
)
def test_right_on_something_else_opens_nothing(
    identity: Identity, action: Action, resource: Resource
) -> None:
    """Rights are compared word by word; there are no patterns and no right includes another."""
    assert decide(identity, action, resource, OPEN).verdict is Verdict.DENY


@pytest.mark.parametrize(
    "action", ["pull", "delete", None, "nonsense", enum.Enum("Other", "PULL").PULL]
)  # type: ignore[attr-defined]
@pytest.mark.parametrize("identity", [ANONYMOUS, NOBODY, holder("pull", "delete")])
def test_action_without_a_rule_is_denied_to_all(identity: Identity, action: object) -> None:
    """What nobody has thought of is nobody's."""
    assert decide(identity, cast(Any, action), HERE, OPEN).verdict is Verdict.DENY


def test_every_action_has_a_rule() -> None:
    """The table is whole, and knows which actions change something."""
    assert set(RULES) == set(Action)
    assert {action for action, rule in RULES.items() if rule.is_write} == WRITES
    assert {action for action, rule in RULES.items() if rule.is_delete} == {Action.DELETE}


@pytest.mark.parametrize(
    ("decision", "code", "detail"),
    [
        (
            decide(ANONYMOUS, Action.PUSH, HERE, State(read_only=True)),
            Code.UNSUPPORTED,
            "the registry is read-only",
        ),
        (decide(ANONYMOUS, Action.DELETE, HERE, State()), Code.UNSUPPORTED, "deletes are disabled"),
        (decide(holder(), Action.PULL, HERE, State()), Code.DENIED, "pull is not granted"),
        (
            decide(NOBODY, Action.TAG_UPDATE, HERE, State()),
            Code.UNAUTHORIZED,
            [{"Type": "repository", "Class": "", "Name": "lib/app", "Action": "push"}],
        ),
        (
            decide(NOBODY, Action.CATALOG, CATALOG, State()),
            Code.UNAUTHORIZED,
            [{"Type": "registry", "Class": "", "Name": "catalog", "Action": "*"}],
        ),
        (decide(NOBODY, Action.LOGIN, REGISTRY, State()), Code.UNAUTHORIZED, None),
    ],
)
def test_refusal_is_what_registry_2_says(decision: Decision, code: Code, detail: object) -> None:
    """A refused client is told why in the words that clients know."""
    refusal = decision.refusal()
    assert not decision.is_allowed
    assert (refusal.code, refusal.detail) == (code, detail)


CHANGES = {Action.TAG_UPDATE, Action.DELETE}
OUTLIVING = {Action.ASK, Action.CONTINUE, Action.STATUS, Action.CANCEL}


def second_opinion(identity: Identity, action: Action, resource: Resource, state: State) -> Verdict:
    """Decide again, case by case, from the promises and not from the table."""
    words = {right.action for right in cast(Any, identity.rights) if right.resource == resource}
    if identity.lapsed is not None and action not in OUTLIVING:
        return Verdict.CHALLENGE
    if action is Action.ASK:
        may = True
    elif action is Action.LOGIN:
        may = identity.name != "" or identity.by_token
    elif action is Action.PULL:
        may = "pull" in words
    elif action is Action.CATALOG:
        may = "*" in words
    elif action is Action.ADMIN:
        may = "admin" in words
    elif action is Action.DELETE:
        may = "delete" in words
    elif action is Action.TAG_UPDATE:
        may = "push" in words
    else:
        may = "push" in words or "create" in words
    if not may and not identity.is_unrestricted:
        return Verdict.DENY if identity.name and not identity.by_token else Verdict.CHALLENGE
    if action in WRITES and (state.read_only or state.is_mirror):
        return Verdict.UNSUPPORTED
    if action is Action.DELETE and not state.delete_enabled:
        return Verdict.UNSUPPORTED
    if action in CHANGES and state.is_immutable:
        return Verdict.DENY
    return Verdict.ALLOW


RESOURCES = st.sampled_from([HERE, ELSEWHERE, REGISTRY, CATALOG])
WORDS = st.sampled_from(["pull", "push", "create", "delete", "*", "admin", ""])
RIGHTS = st.builds(Right, RESOURCES, WORDS)
IDENTITIES = st.builds(
    Identity,
    st.sampled_from(["", "alice"]),
    st.frozensets(RIGHTS),
    is_unrestricted=st.booleans(),
    by_token=st.booleans(),
    lapsed=st.sampled_from([None, 1.0]),
)
ANY_STATE = st.builds(
    State,
    read_only=st.booleans(),
    delete_enabled=st.booleans(),
    is_mirror=st.booleans(),
    is_immutable=st.booleans(),
)


@given(IDENTITIES, st.sampled_from(Action), RESOURCES, ANY_STATE)
def test_decision_agrees_with_the_second_opinion(
    identity: Identity, action: Action, resource: Resource, state: State
) -> None:
    """Two ways of deciding, one answer; a refusal always gives a reason."""
    decision = decide(identity, action, resource, state)
    assert decision.verdict is second_opinion(identity, action, resource, state)
    assert decision.is_allowed is (decision.reason == "")


@given(IDENTITIES, RIGHTS, st.sampled_from(Action), RESOURCES, ANY_STATE)
def test_more_rights_and_a_more_open_state_refuse_nothing(
    identity: Identity, right: Right, action: Action, resource: Resource, state: State
) -> None:
    """Giving a right or turning something on never takes anything away."""
    if decide(identity, action, resource, state).is_allowed:
        more = attrs.evolve(identity, rights=cast(Any, identity.rights) | {right}, lapsed=None)
        assert decide(more, action, resource, state).is_allowed
        assert decide(identity, action, resource, OPEN).is_allowed
