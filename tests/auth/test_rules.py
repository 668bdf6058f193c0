# SPDX-License-Identifier: Apache-2.0
"""Access rules: patterns, users, groups, and what no rule grants."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.auth.decisions import CATALOG, REGISTRY, Resource, Right
from txregistry.auth.rules import ALL_OR_NOTHING, AccessRule, Rules


def right(action, name):
    return Right(Resource("repository", name), action)


def granted(rule, name="alice", groups=()):
    return Rules([rule]).rights_of(name, groups)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("team/app", ["team/app"], ["team/app2", "team/ap", "team/app/x", "xteam/app", ""]),
        ("team/*", ["team/app", "team/a-b.c_d"], ["team", "team/", "team/a/b", "team2/a"]),
        ("team/**", ["team/app", "team/a/b"], ["team", "teams/a"]),
        ("**", ["a", "a/b/c"], []),
        ("*", ["a"], ["a/b"]),
        ("**/app", ["a/app", "a/b/app"], ["app", "a/app/b"]),
        ("a.b", ["a.b"], ["axb"]),
        ("*-prod/**", ["x-prod/a"], ["prod/a", "x/y-prod/a"]),
        ("{user}/**", ["alice/a", "alice/a/b"], ["alice", "bob/a", "{user}/a", "alice2/a"]),
    ],
)
def test_pattern_matches_whole_names(pattern, matching, others):
    rights = granted(AccessRule(anonymous=True, repositories=(pattern,), actions={"pull"}))
    for name in matching:
        assert right("pull", name) in rights, name
    for name in [*others, "a" * 256]:
        assert right("pull", name) not in rights, name


@pytest.mark.parametrize(
    ("patterns", "leading", "others"),
    [
        (["team/app"], ["team", "team/app"], ["tea", "team2", "other"]),
        (["team/*"], ["team", "team/app"], ["tea", "team2", "t"]),
        (["te**"], ["te", "team", "team/app"], ["t", "other"]),
        (["*/app"], ["team", "other"], []),
        (["{user}/**", "a/{user}"], ["alice", "alice/x", "a", "a/alice"], ["bob", "a/bob"]),
        ([], ["anything"], []),
    ],
)
def test_where_to_look_for_what_is_granted(patterns, leading, others):
    """What is on the way to it, and what may be it or below it."""
    rights = granted(AccessRule(anonymous=True, repositories=tuple(patterns), actions={"pull"}))
    assert [name for name in leading if not rights.leads_on(name)] == []
    assert [name for name in others if rights.leads_on(name)] == []


def test_rules_that_let_nobody_pull_lead_nowhere():
    rule = AccessRule(anonymous=True, repositories=["team/*"], actions={"push", "catalog"})
    assert not granted(rule).leads_on("team")
    nobodys = AccessRule(anonymous=True, repositories=["{user}/*"], actions={"pull"})
    assert not granted(nobodys, "").leads_on("alice")


@given(
    st.text("a/*", min_size=1, max_size=6).filter(lambda text: "***" not in text),
    st.text("a/", min_size=1, max_size=6),
)
def test_way_to_whatever_is_granted_is_never_left_out(pattern, name):
    rights = granted(AccessRule(anonymous=True, repositories=(pattern,), actions={"pull"}))
    parts = name.split("/")
    if right("pull", name) in rights:
        ways = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        assert all(map(rights.leads_on, ways)), ways


def test_name_in_a_pattern_is_taken_word_by_word():
    """Whoever chooses a name of stars gets no more for it; nobody's name is no pattern at all."""
    rule = AccessRule(anonymous=True, repositories=("{user}/*",), actions={"pull"})
    assert right("pull", "bob/x") not in granted(rule, "*")
    assert right("pull", "bob/x") not in granted(rule, ".*")
    assert right("pull", "/x") not in granted(rule, "")


def test_rule_is_for_whom_it_names():
    for rule, who in [
        (AccessRule(users={"alice"}, actions={"pull"}), {"alice"}),
        (AccessRule(groups={"staff"}, actions={"pull"}), {"bob"}),
        (AccessRule(authenticated=True, actions={"pull"}), {"alice", "bob"}),
        (AccessRule(anonymous=True, actions={"pull"}), {"alice", "bob", ""}),
        (AccessRule(actions={"pull"}), set()),
        (AccessRule(users={""}, groups={""}, actions={"pull"}), set()),
    ]:
        rules = Rules([rule], {"staff": ["bob", ""]})
        found = {who for who in ("alice", "bob", "") if right("pull", "a") in rules.rights_of(who)}
        assert found == who


def test_groups_may_come_with_the_proof():
    """A token of a continuous integration says so."""
    rule = AccessRule(groups={"ci"}, actions={"push"})
    assert right("push", "a") in granted(rule, "robot", ["ci"])
    assert right("push", "a") not in granted(rule, "", ["ci"])


def test_words_that_are_not_granted_are_denied():
    """Neither another action, nor another kind of thing, nor something like a right."""
    rights = granted(AccessRule(anonymous=True, actions={"pull", "catalog"}))
    for denied in [
        *(right(action, "a") for action in ("push", "create", "delete", "*", "admin", "catalog")),
        Right(Resource("repository(plugin)", "a"), "pull"),
        Right(REGISTRY, "admin"),
        Right(REGISTRY, "catalog"),
        Right(CATALOG, "pull"),
        "pull",
        None,
    ]:
        assert denied not in rights
    assert Right(CATALOG, "*") in rights
    assert Right(REGISTRY, "admin") in granted(AccessRule(anonymous=True, actions={"admin"}))


def test_rules_add_up():
    rules = Rules(
        [
            AccessRule(anonymous=True, repositories=("public/**",), actions={"pull"}),
            AccessRule(users={"alice"}, repositories=("team/**",), actions={"pull", "push"}),
        ]
    )
    alice, nobody = rules.rights_of("alice"), rules.rights_of("")
    assert right("pull", "public/a") in alice and right("push", "team/a") in alice
    assert right("pull", "public/a") in nobody and right("pull", "team/a") not in nobody
    assert right("push", "public/a") not in alice


def test_without_rules_whoever_is_logged_in_may_do_all_but_administer():
    """As with registry:2."""
    rights = ALL_OR_NOTHING.rights_of("alice")
    for action in ("pull", "push", "delete"):
        assert right(action, "any/thing") in rights
        assert right(action, "any/thing") not in ALL_OR_NOTHING.rights_of("")
    assert Right(CATALOG, "*") in rights
    assert Right(REGISTRY, "admin") not in rights
