# SPDX-License-Identifier: Apache-2.0
"""The keys of ``auth``: each one's default, a value that it takes and how that is read, and values
that it refuses, beside what it can't do without.
"""

from operator import attrgetter

import pytest
import yaml

from txregistry.config.auth_settings import Auth

from .reading import read_keys, refusal_of_keys
from .test_keys import leaves

HTPASSWD = {"htpasswd": {"realm": "r", "path": "/p"}}
SILLY = {"silly": {"realm": "r", "service": "s"}}

TOKEN = {"token": {"realm": "r", "service": "s", "issuer": "i", "jwks": "/j"}}
SERVER = {**HTPASSWD, "tokenserver": {"enabled": True, "realm": "https://r/auth/token"}}

#: path -> (what stands beside it, attribute, default, value, as read, values that are refused)
KEYS = {
    "silly.realm": (SILLY, "silly.realm", "", "x y", "x y", [["x"], 'a"b', "é"]),
    "silly.service": (SILLY, "silly.service", "", "x", "x", [["x"], "a\\b"]),
    "htpasswd.realm": (HTPASSWD, "htpasswd.realm", "", "x", "x", [["x"]]),
    "htpasswd.path": (HTPASSWD, "htpasswd.path", "", "/etc/p", "/etc/p", [["x"]]),
    "token.realm": (TOKEN, "token.realm", "", "https://a/t", "https://a/t", [["x"]]),
    "token.service": (TOKEN, "token.service", "", "x", "x", ['"']),
    "token.issuer": (TOKEN, "token.issuer", "", "x", "x", [["x"]]),
    "token.rootcertbundle": (TOKEN, "token.root_cert_bundle", "", "/b", "/b", [["x"]]),
    "token.jwks": (TOKEN, "token.jwks", "", "/k", "/k", [["x"]]),
    "token.autoredirect": (TOKEN, "token.auto_redirect", False, False, False, ["x"]),
    "token.autoredirectpath": (TOKEN, "token.auto_redirect_path", "/auth/token", "/t", "/t", [[1]]),
    "token.signingalgorithms": (
        TOKEN,
        "token.signing_algorithms",
        (),
        ["ES256"],
        ("ES256",),
        ["ES256", ["none"], []],
    ),
    "tokenserver.enabled": (SERVER, "token_server.enabled", False, False, False, ["x"]),
    "tokenserver.realm": (SERVER, "token_server.realm", "", "https://a", "https://a", [["x"]]),
    "tokenserver.service": (SERVER, "token_server.service", "registry", "x", "x", ['"']),
    "tokenserver.issuer": (SERVER, "token_server.issuer", "txregistry", "x", "x", [["x"]]),
    "tokenserver.lifetime": (SERVER, "token_server.lifetime", 300.0, "10m", 600.0, ["59s", 5]),
    "tokenserver.refreshlifetime": (
        SERVER,
        "token_server.refresh_lifetime",
        30 * 24 * 3600.0,
        "24h",
        24 * 3600.0,
        ["1s"],
    ),
    "certificates.name": (HTPASSWD, "certificates.name", "none", "none", "none", ["cn"]),
    "groups": (HTPASSWD, "groups", {}, {"g": ["a"]}, {"g": ("a",)}, [["x"], {"g": "a"}, {"g": []}]),
    "allowanonymouswrites": (HTPASSWD, "allow_anonymous_writes", False, True, True, ["x"]),
    "failures.peraddress": (HTPASSWD, "failures.per_address", 30, 0, 0, [-1, "x"]),
    "failures.peruser": (HTPASSWD, "failures.per_user", 60, 5, 5, [-1]),
}


#: Keys of one item of ``access`` -> (attribute, value, as read, values that are refused)
RULE = {
    "users": ("users", ["alice", "bob c"], ("alice", "bob c"), ["alice", [], ["a\x00"], [""]]),
    "groups": ("groups", ["g"], ("g",), ["g", []]),
    "authenticated": ("authenticated", True, True, ["x"]),
    "anonymous": ("anonymous", True, True, ["x"]),
    "repositories": (
        "repositories",
        ["team/*", "{user}/**", "a-b_c.d"],
        ("team/*", "{user}/**", "a-b_c.d"),
        ["team/*", [], ["Team/*"], ["{name}/*"], ["a?"], ["[ab]"]],
    ),
    "actions": ("actions", ["pull", "catalog"], ("pull", "catalog"), ["pull", [], ["fetch"]]),
}


#: Likewise of one item of ``oidc``.
PROVIDER = {
    "issuer": ("issuer", "https://ci.example/x", "https://ci.example/x", ["http://a", "x", ["x"]]),
    "audience": ("audience", "r", "r", [["x"]]),
    "jwks": ("jwks", "https://ci.example/k", "https://ci.example/k", ["http://ci.example/k"]),
    "name": ("name", "ci:{repository}", "ci:{repository}", [["x"]]),
    "claims": ("claims", {"a": "b/*"}, {"a": "b/*"}, ["a", {}, {"a": ["b"]}]),
    "groups": ("groups", ["ci"], ("ci",), ["ci"]),
}


def as_yaml(path, value):
    """The section with one key set beside what it can't do without."""
    section = {name: dict(keys) for name, keys in KEYS[path][0].items()}
    *above, name = path.split(".")
    place = section
    for part in above:
        place = place.setdefault(part, {})
    place[name] = value
    return yaml.safe_dump({"auth": section})


def test_table_has_every_key():
    """No key without a test."""
    items = {*(f"access.{name}" for name in RULE), *(f"oidc.{name}" for name in PROVIDER)}
    assert {*KEYS, *items} == {*leaves(Auth)}


@pytest.mark.parametrize("path", KEYS)
class KeyTests:
    def test_absent_key_has_its_default(self, path):
        _, attribute, default, *_ = KEYS[path]
        assert attrgetter(attribute)(read_keys("").auth) == default

    def test_value_is_read(self, path):
        _, attribute, _, value, expected, _ = KEYS[path]
        assert attrgetter(attribute)(read_keys(as_yaml(path, value)).auth) == expected

    def test_wrong_value_is_refused_with_the_path_of_the_key(self, path):
        for value in KEYS[path][5]:
            assert f": auth.{path} wants " in refusal_of_keys(as_yaml(path, value))

    def test_variable_sets_it(self, path):
        """REGISTRY_ and the path in upper case."""
        beside, attribute, _, value, expected, _ = KEYS[path]
        name = "REGISTRY_AUTH_" + path.upper().replace(".", "_")
        configuration = read_keys(yaml.safe_dump({"auth": beside}), {name: yaml.safe_dump(value)})
        assert attrgetter(attribute)(configuration.auth) == expected
        assert configuration.warnings == ()


@pytest.mark.parametrize("text", ["", "auth:", "auth: none", "auth: {none: }", "auth: {}"])
def test_nobody_is_asked_for_credentials_unless_a_scheme_is_named(text):
    """Saying so (``none``) and saying nothing are the same."""
    assert read_keys(text).auth.scheme in ("", "none")


def test_scheme_can_be_named_by_a_variable():
    """As with registry:3."""
    environ = {
        "REGISTRY_AUTH": "htpasswd",
        "REGISTRY_AUTH_HTPASSWD_REALM": "r",
        "REGISTRY_AUTH_HTPASSWD_PATH": "/p",
    }
    auth = read_keys("", environ).auth
    assert (auth.scheme, auth.htpasswd.path) == ("htpasswd", "/p")


def with_rule(**keys):
    rule = {"authenticated": True, "actions": ["pull"], **keys}
    rule = {name: value for name, value in rule.items() if value is not None}
    return yaml.safe_dump({"auth": {**HTPASSWD, "access": [rule]}})


@pytest.mark.parametrize("name", RULE)
def test_key_of_a_rule_is_read_strictly(name):
    attribute, value, expected, wrong = RULE[name]
    [rule] = read_keys(with_rule(**{name: value})).auth.access
    assert attrgetter(attribute)(rule) == expected
    for each in wrong:
        assert f": auth.access.0.{name} wants " in refusal_of_keys(with_rule(**{name: each}))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (with_rule(authenticated=None), "auth.access.0 is for nobody; add users, groups,"),
        (with_rule(actions=None), "auth.access.0 grants nothing; add actions, of pull, push,"),
        (with_rule(users=[1], usrs=[2]), "auth.access.0.usrs is not a known key; did you mean"),
        (
            with_rule(anonymous=True, actions=["pull", "push"]),
            "auth.access.0 grants push to everybody, logged in or not; write authenticated",
        ),
        (
            "auth: {silly: {realm: r, service: s}, access: x}",
            "auth.access wants a list of sections",
        ),
        ("auth: {silly: {realm: r, service: s}, access: [x]}", "auth.access.0 wants a section of"),
    ],
)
def test_rule_that_can_not_be_meant_is_refused(text, part):
    assert part in refusal_of_keys(text)


def test_everybody_may_write_only_if_that_is_said_out_loud():
    text = with_rule(anonymous=True, actions=["push"])
    assert read_keys(text + "  allowanonymouswrites: true\n").auth.access[0].actions == ("push",)


def test_rule_can_be_added_by_a_variable():
    rule = yaml.safe_dump({"users": ["bob"], "actions": ["push"]})
    configuration = read_keys(with_rule(), {"REGISTRY_AUTH_ACCESS_1": rule})
    assert [rule.users for rule in configuration.auth.access] == [(), ("bob",)]
    environ = {"REGISTRY_AUTH_ACCESS_0_ACTIONS": "[push]"}
    assert read_keys(with_rule(), environ).auth.access[0].actions == ("push",)


def test_immutable_tags_are_read_strictly():
    text = "tags: {immutable: [{repositories: [release/**], tags: ['v*'], exceptions: [v0]}]}"
    [rule] = read_keys(text).tags.immutable
    assert (rule.repositories, rule.tags, rule.exceptions) == (("release/**",), ("v*",), ("v0",))
    for wrong in ("tags: {immutable: [{tags: v*}]}", "tags: {immutable: [{tags: [a/b]}]}"):
        assert "tags.immutable.0.tags wants " in refusal_of_keys(wrong)


@pytest.mark.parametrize(
    ("auth", "part"),
    [
        (
            {"token": {"realm": "r", "service": "s", "issuer": "i"}},
            "auth.token names no keys; add auth.token.rootcertbundle or auth.token.jwks",
        ),
        ({"token": {"realm": "r", "service": "s", "jwks": "/j"}}, "auth.token.issuer is missing"),
        (
            {"token": {"service": "s", "issuer": "i", "jwks": "/j", "autoredirect": True}},
            "auth.token.autoredirect needs http.host, since the Host of a request is not trusted",
        ),
        ({**HTPASSWD, "tokenserver": {"enabled": True}}, "auth.tokenserver needs http.host"),
        ({**SILLY, "tokenserver": {"enabled": True}}, "has nobody to issue tokens to with auth.si"),
        ({"tokenserver": {"enabled": True}}, "auth names no scheme, so nobody could log in"),
        ({**SILLY, "oidc": [{"issuer": "https://a"}]}, "auth.oidc has no effect with auth.silly"),
        (
            {**HTPASSWD, "certificates": {"name": "dns"}},
            "auth.certificates needs http.tls.clientcas, since nothing else verifies them",
        ),
        (
            {"none": None, "certificates": {"name": "dns"}},
            "auth.certificates has no effect with auth.none",
        ),
        (
            {"none": None, "access": [{"authenticated": True, "actions": ["pull"]}]},
            "auth.access has no effect with auth.none; remove auth.none",
        ),
    ],
)
def test_what_can_not_work_together_is_refused(auth, part):
    assert part in refusal_of_keys(yaml.safe_dump({"auth": auth}))


@pytest.mark.parametrize("how", ["request-client-cert", "require-any-client-cert"])
def test_names_are_not_taken_from_certificates_that_nobody_verifies(how):
    """Nobody would be let in, and the operator would wonder why."""
    tls = {"certificate": "/c", "key": "/k", "clientcas": ["/a"], "clientauth": how}
    document = {"auth": {"certificates": {"name": "dns"}}, "http": {"tls": tls}}
    assert (
        f"auth.certificates has no effect with http.tls.clientauth {how}, by which nothing is"
        " verified; set http.tls.clientauth to verify-client-cert-if-given or"
        " require-and-verify-client-cert"
    ) in refusal_of_keys(yaml.safe_dump(document))


@pytest.mark.parametrize(("length", "is_taken"), [(31, False), (32, True)])
def test_tokens_are_not_signed_with_what_can_be_guessed(length, is_taken):
    """Each token tells whether a guess was right, wherever it is made."""
    text = yaml.safe_dump({"http": {"secret": "x" * length}, "auth": SERVER})
    if is_taken:
        assert read_keys(text).auth.token_server.enabled
    else:
        assert "http.secret, which is shorter than 32 bytes" in refusal_of_keys(text)


def test_realms_may_follow_from_the_host():
    """Where clients are sent comes from the configuration, never from a request."""
    for auth in (
        {**HTPASSWD, "tokenserver": {"enabled": True}},
        {"token": {"service": "s", "issuer": "i", "jwks": "/j", "autoredirect": True}},
    ):
        text = yaml.safe_dump({"http": {"host": "https://r.example"}, "auth": auth})
        assert read_keys(text).auth.scheme


def with_provider(*, access=True, **keys):
    provider = {
        "issuer": "https://ci.example",
        "audience": "r",
        "claims": {"repository": "acme/*"},
        **keys,
    }
    provider = {name: value for name, value in provider.items() if value is not None}
    rules = [{"authenticated": True, "actions": ["pull"]}] if access else []
    return yaml.safe_dump({"auth": {"oidc": [provider], "access": rules}})


@pytest.mark.parametrize("name", PROVIDER)
def test_key_of_a_provider_is_read_strictly(name):
    attribute, value, expected, wrong = PROVIDER[name]
    [provider] = read_keys(with_provider(**{name: value})).auth.oidc
    assert attrgetter(attribute)(provider) == expected
    for each in wrong:
        assert f": auth.oidc.0.{name} wants " in refusal_of_keys(with_provider(**{name: each}))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (with_provider(issuer=None), "auth.oidc.0.issuer is missing"),
        (with_provider(audience=None), "auth.oidc.0.audience is missing"),
        (with_provider(claims=None), "auth.oidc.0.claims is missing"),
        (with_provider(access=False), "auth.oidc without auth.access would let every job"),
    ],
)
def test_provider_that_lets_too_much_in_is_refused(text, part):
    assert part in refusal_of_keys(text)


@pytest.mark.parametrize("name", ["{sub}", "job {sub}", "{iss}:{sub}", "job"])
def test_name_of_a_job_that_may_be_a_persons_is_refused(name):
    """Names with a password have no colon; what a token says may have one, or not."""
    assert "auth.oidc.0.name has no colon before" in refusal_of_keys(with_provider(name=name))


@pytest.mark.parametrize(
    ("one", "other", "is_apart"),
    [
        ("ci:{sub}", "ci:{sub}", False),
        ("ci:{sub}", "ci:x:{sub}", False),
        ("ci:x:{sub}", "ci:{sub}", False),
        ("ci:x", "ci:x", False),
        ("ci:{sub}", "qa:{sub}", True),
        ("ci:x", "ci:y", True),
    ],
)
def test_jobs_of_two_providers_never_have_the_same_name(one, other, is_apart):
    document = yaml.safe_load(with_provider(name=one))
    [first] = document["auth"]["oidc"]
    document["auth"]["oidc"].append({**first, "issuer": "https://qa.example", "name": other})
    text = yaml.safe_dump(document)
    if is_apart:
        assert [each.name for each in read_keys(text).auth.oidc] == [one, other]
    else:
        assert "auth.oidc.1.name begins like that of another provider" in refusal_of_keys(text)


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ("", True),
        ("auth: {none: }", True),
        (yaml.safe_dump({"auth": HTPASSWD}), False),
        (yaml.safe_dump({"auth": SILLY}), False),
        (yaml.safe_dump({"auth": TOKEN}), False),
        (with_provider(), False),
        (
            "auth: {certificates: {name: dns}}\n"
            "http: {tls: {certificate: /c, key: /k, clientcas: [/a]}}",
            False,
        ),
    ],
)
def test_registry_is_open_only_if_nothing_was_said_of_who_may_come_in(text, is_open):
    """A provider alone is such a word: its jobs are let in, and nobody else."""
    assert read_keys(text).auth.is_open is is_open
