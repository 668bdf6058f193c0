# SPDX-License-Identifier: Apache-2.0
"""The whole registry against a model of plain dictionaries, over real HTTP, with restarts among the steps.

Hypothesis chooses what clients do, and when the driver or the server dies in between. After each step
everything that a client could ask is asked: lists, tags, manifests, blobs, uploads, referrers.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.functional.servers import Registry

from .campaign import Campaign, is_long, short_or_long
from .checker import Findings
from .journal import digest_of
from .oracle import examine
from .patrons import CONFIG, INDEX, LAYER, MANIFEST, OCTETS, Line, here
from .processes import end_all

#: Blobs that are pushed: tiny ones, one that goes through a writer, and nothing.
CONTENTS = {
    "empty": b"",
    "a": b"a",
    "braces": b"{}",
    "kilobyte": hashlib.sha256(b"c").digest() * 40,
    "hundred": hashlib.sha256(b"d").digest() * 3000,
    "third": hashlib.sha256(b"e").digest() * 9000,
}
TAGS = ("latest", "v1", "V1", "a.b-c_d")

#: Deaths in one example, since a start takes as long as a hundred requests.
DEATHS = 4 if is_long() else 2

contents = st.sampled_from(sorted(CONTENTS))
tags = st.sampled_from(TAGS)
sides = st.sampled_from((0, 1))
picks = st.integers(min_value=0, max_value=10**6)


@dataclass
class Repository:
    """What a repository has, as the model knows it.

    Attributes:
        manifests, tags: what is there now.
        ever: every manifest that was there.
        is_known: it has, or had, blobs or manifests.
    """

    name: str
    blobs: dict = field(default_factory=dict)
    manifests: dict = field(default_factory=dict)
    tags: dict = field(default_factory=dict)
    ever: set = field(default_factory=set)
    is_known: bool = False


@dataclass
class Upload:
    repository: Repository
    location: str
    data: bytes = b""


#: What follows from deleting what a manifest needs, which clients may do: in the words of the checker
#: (which counts such a manifest, and so its tag, as damaged), and of the oracle.
BY_CLIENTS = ("manifest-incomplete:", "tag-dangling:")
LACKING = ("manifest ", "index ")


def make_machine(server, campaign):
    """The machine, for one server that all its examples share."""
    numbers = itertools.count()

    class Clients(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            number = next(numbers)
            campaign.notes["examples"] = number + 1
            self.line = Line(server.port)
            self.repositories = [Repository(f"m{number}/app"), Repository(f"m{number}/app/deep")]
            self.uploads = []
            self.deaths = 0

        def teardown(self):
            try:
                if not campaign.notes["deaths"]:
                    self.die("driver")  # chance has spared it so far
                    self.check_all()
                self.check_catalog()
            finally:
                self.line.close()

        # What clients do.

        @rule(side=sides, content=contents)
        def push_at_once(self, side, content):
            self.push(self.repositories[side], CONTENTS[content])

        @rule(side=sides)
        def begin(self, side):
            repository = self.repositories[side]
            answer = self.ask(202, "POST", f"/v2/{repository.name}/blobs/uploads/")
            self.uploads.append(Upload(repository, here(answer.headers["Location"])))

        @precondition(lambda self: self.uploads)
        @rule(pick=picks, content=contents.filter(lambda content: content != "empty"))
        def append(self, pick, content):
            upload, data = self.pick(self.uploads, pick), CONTENTS[content]
            start = len(upload.data)
            span = {"Content-Range": f"{start}-{start + len(data) - 1}"}
            answer = self.ask(202, "PATCH", upload.location, data, OCTETS | span)
            upload.data += data
            upload.location = here(answer.headers["Location"])

        @precondition(lambda self: self.uploads)
        @rule(pick=picks, gap=st.integers(min_value=1, max_value=9))
        def append_elsewhere(self, pick, gap):
            upload = self.pick(self.uploads, pick)
            start = len(upload.data) + gap
            self.ask(
                416,
                "PATCH",
                upload.location,
                b"xy",
                OCTETS | {"Content-Range": f"{start}-{start + 1}"},
            )

        @precondition(lambda self: self.uploads)
        @rule(pick=picks, rest=contents)
        def finish(self, pick, rest):
            upload = self.pick(self.uploads, pick)
            data = upload.data + CONTENTS[rest]
            self.ask(
                201, "PUT", f"{upload.location}&digest={digest_of(data)}", CONTENTS[rest], OCTETS
            )
            self.uploads.remove(upload)
            self.has_blob(upload.repository, data)

        @precondition(lambda self: self.uploads)
        @rule(pick=picks)
        def finish_wrongly(self, pick):
            upload = self.pick(self.uploads, pick)
            self.ask(
                400, "PUT", f"{upload.location}&digest={digest_of(b'something else')}", b"", OCTETS
            )

        @precondition(lambda self: self.uploads)
        @rule(pick=picks)
        def cancel(self, pick):
            upload = self.pick(self.uploads, pick)
            self.ask(204, "DELETE", upload.location)
            self.uploads.remove(upload)

        @precondition(lambda self: any(one.blobs for one in self.repositories))
        @rule(pick=picks)
        def mount(self, pick):
            source, target = self.repositories[:: 1 if pick % 2 else -1]
            if not source.blobs:
                source, target = target, source
            digest = self.pick(sorted(source.blobs), pick)
            path = f"/v2/{target.name}/blobs/uploads/?mount={digest}&from={source.name}"
            self.ask(201, "POST", path)
            self.has_blob(target, source.blobs[digest])

        @rule(
            side=sides,
            names=st.lists(contents, min_size=1, max_size=4),
            tag=tags | st.none(),
            brings=st.sampled_from((True, True, True, False)),
        )
        def put_image(self, side, names, tag, brings):
            repository, blobs = self.repositories[side], [CONTENTS[name] for name in names]
            for data in blobs if brings else ():
                self.push(repository, data)
            self.put_manifest(repository, image(blobs[0], blobs[1:]), tag, blobs)

        @precondition(lambda self: any(one.manifests for one in self.repositories))
        @rule(pick=picks, content=contents)
        def put_referrer(self, pick, content):
            config = CONTENTS[content]
            repository = self.pick([one for one in self.repositories if one.manifests], pick)
            subject = self.pick(sorted(repository.manifests), pick)
            document = image(config, [config], subject=(subject, repository.manifests[subject]))
            self.put_manifest(repository, document, None, [config])

        @precondition(lambda self: any(one.manifests for one in self.repositories))
        @rule(pick=picks, tag=tags)
        def put_index(self, pick, tag):
            repository = self.pick([one for one in self.repositories if one.manifests], pick)
            listed = [
                {"mediaType": media_type_of(data), "digest": digest, "size": len(data)}
                for digest, data in sorted(repository.manifests.items())[:3]
            ]
            document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
            self.put_manifest(repository, document, tag, [])

        @precondition(lambda self: any(one.tags for one in self.repositories))
        @rule(pick=picks)
        def delete_tag(self, pick):
            repository = self.pick([one for one in self.repositories if one.tags], pick)
            tag = self.pick(sorted(repository.tags), pick)
            self.ask(202, "DELETE", f"/v2/{repository.name}/manifests/{tag}")
            del repository.tags[tag]

        @precondition(lambda self: any(one.manifests for one in self.repositories))
        @rule(pick=picks)
        def delete_manifest(self, pick):
            repository = self.pick([one for one in self.repositories if one.manifests], pick)
            digest = self.pick(sorted(repository.manifests), pick)
            self.ask(202, "DELETE", f"/v2/{repository.name}/manifests/{digest}")
            del repository.manifests[digest]
            repository.tags = {tag: one for tag, one in repository.tags.items() if one != digest}

        @precondition(lambda self: any(one.blobs for one in self.repositories))
        @rule(pick=picks)
        def delete_blob(self, pick):
            repository = self.pick([one for one in self.repositories if one.blobs], pick)
            digest = self.pick(sorted(repository.blobs), pick)
            self.ask(202, "DELETE", f"/v2/{repository.name}/blobs/{digest}")
            del repository.blobs[digest]

        @rule(kind=st.sampled_from([None] * 6 + ["driver"] * 3 + ["server", "stop"]))
        def strike(self, kind):
            if kind is not None and self.deaths < DEATHS:
                self.die(kind)

        def die(self, kind):
            self.deaths += 1
            campaign.struck()
            self.line.close()
            if kind == "driver":
                server.kill_driver()
            elif kind == "server":
                end_all(server)
                server.start()
            else:
                server.stop()
                server.start()
            campaign.notes[f"deaths ({kind})"] = campaign.notes.get(f"deaths ({kind})", 0) + 1

        # How they do it.

        def put_manifest(self, repository, document, tag, blobs):
            data = json.dumps(document).encode()
            digest = digest_of(data)
            missing = [one for one in blobs if digest_of(one) not in repository.blobs]
            self.ask(
                400 if missing else 201,
                "PUT",
                f"/v2/{repository.name}/manifests/{tag or digest}",
                data,
                {"Content-Type": document["mediaType"]},
            )
            if not missing:
                repository.is_known = True
                repository.manifests[digest] = data
                repository.ever.add(digest)
                if tag:
                    repository.tags[tag] = digest

        def push(self, repository, data):
            path = f"/v2/{repository.name}/blobs/uploads/?digest={digest_of(data)}"
            self.ask(201, "POST", path, data, OCTETS)
            self.has_blob(repository, data)

        def has_blob(self, repository, data):
            repository.blobs[digest_of(data)] = data
            repository.is_known = True

        def pick(self, things, number):
            return things[number % len(things)]

        def ask(self, status, method, path, body=None, headers=None):
            answer = self.line.request(method, path, body, headers)
            assert answer.status == status, f"{method} {path}: {answer.status} {answer.body[:300]}"
            return answer

        # What must be so after each step.

        @invariant()
        def check_all(self):
            campaign.tried += 1
            for repository in self.repositories:
                self.check_tags(repository)
                self.check_manifests(repository)
                self.check_blobs(repository)
                self.check_referrers(repository)
            for upload in self.uploads:
                answer = self.line.get(upload.location)
                last = max(len(upload.data) - 1, 0)
                assert (answer.status, answer.headers["Range"]) == (204, f"0-{last}")

        def check_tags(self, repository):
            listed = self.line.all_tags(repository.name)
            assert listed == sorted(repository.tags)
            answer = self.line.get(f"/v2/{repository.name}/tags/list")
            assert answer.status == (200 if repository.is_known else 404)
            for tag in TAGS:
                answer = self.line.get(f"/v2/{repository.name}/manifests/{tag}")
                digest = repository.tags.get(tag)
                self.compare(answer, repository.manifests.get(digest))

        def check_manifests(self, repository):
            for digest in repository.ever:
                answer = self.line.get(f"/v2/{repository.name}/manifests/{digest}")
                self.compare(answer, repository.manifests.get(digest))

        def check_blobs(self, repository):
            for data in CONTENTS.values():
                digest = digest_of(data)
                answer = self.line.get(f"/v2/{repository.name}/blobs/{digest}")
                self.compare(answer, repository.blobs.get(digest))
            for digest, data in repository.blobs.items():
                answer = self.line.request("HEAD", f"/v2/{repository.name}/blobs/{digest}")
                assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(data)))

        def check_referrers(self, repository):
            subjects = {}
            for digest, data in repository.manifests.items():
                subject = json.loads(data).get("subject")
                if subject:
                    subjects.setdefault(subject["digest"], []).append(digest)
            for digest in repository.ever:
                answer = self.line.get(f"/v2/{repository.name}/referrers/{digest}")
                assert answer.status == 200
                listed = [one["digest"] for one in answer.json()["manifests"]]
                assert sorted(listed) == sorted(subjects.get(digest, []))

        def check_catalog(self):
            first = self.repositories[0].name.partition("/")[0]
            answer = self.line.get(f"/v2/_catalog?n=10&last={first}")
            mine = [one for one in answer.json()["repositories"] if one.startswith(f"{first}/")]
            assert mine == [one.name for one in self.repositories if one.manifests]

        def compare(self, answer, data):
            if data is None:
                assert answer.status == 404
            else:
                assert answer.status == 200
                assert answer.body == data

    return Clients


def image(config, layers, subject=None):
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [
            {"mediaType": LAYER, "digest": digest_of(one), "size": len(one)} for one in layers
        ],
    }
    if subject:
        digest, data = subject
        document["subject"] = {
            "mediaType": media_type_of(data),
            "digest": digest,
            "size": len(data),
        }
    return document


def media_type_of(data):
    return json.loads(data)["mediaType"]


def test_registry_is_a_few_dictionaries(tmp_path):
    """Whatever clients do in whatever order, through deaths of the driver and of the server."""
    examples, steps = short_or_long(6, 100), 50 if is_long() else 20
    with Campaign("steps of the model", strikes="deaths") as campaign, Registry(tmp_path) as server:
        run_state_machine_as_test(
            seed(campaign.seed)(make_machine(server, campaign)),
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                database=None,
                deadline=None,
                # Real processes make no two runs alike, and shrinking starts them a thousand times.
                phases=(Phase.generate,),
                suppress_health_check=list(HealthCheck),
            ),
        )
        server.stop()
        errors = [one for one in Findings(server.root).errors if not one.startswith(BY_CLIENTS)]
        errors += [one for one in examine(server.root).errors if not one.startswith(LACKING)]
        campaign.trial("the tree at the end", errors)
