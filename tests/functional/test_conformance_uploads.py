# SPDX-License-Identifier: Apache-2.0
"""Conformance: upload sessions - chunks in order and out of it, streams, closing, cancelling."""

from __future__ import annotations

import re
import uuid

import pytest

from .repository import ALGORITHMS, NOTHING, digest_of

DATA = bytes(range(256)) * 40  # three chunks of 4096, the last one smaller
CHUNKS = [DATA[start : start + 4096] for start in range(0, len(DATA), 4096)]


def span(start, chunk):
    """The Content-Range of a chunk: both ends inclusive, neither unit nor total."""
    return f"{start}-{start + len(chunk) - 1}"


def check_progress(answer, status, held):
    """An answer about a session tells where to go on and how much is held."""
    assert answer.status == status
    assert answer.headers["Range"] == f"0-{max(held - 1, 0)}"
    upload_id = answer.headers["Docker-Upload-UUID"]
    assert uuid.UUID(upload_id).version == 4 and str(uuid.UUID(upload_id)) == upload_id
    assert f"/{upload_id}?" in answer.headers["Location"]
    return answer.headers["Location"]


class StartTests:
    """POST without a digest."""

    @pytest.mark.parametrize("body", [b"", None])
    def test_session_is_202(self, repository, body):
        """With Content-Length: 0, as the specification wants it, or without."""
        answer = repository.client.post(repository.uploads, body)
        location = check_progress(answer, 202, 0)
        assert answer.headers["Content-Length"] == "0"
        assert "OCI-Chunk-Min-Length" not in answer.headers
        # A path on this server, whose query goes on with "&".
        assert re.fullmatch(rf"{re.escape(repository.uploads)}[0-9a-f-]+\?_state=[\w%-]+", location)

    def test_slash_at_the_end_may_be_left_out(self, repository):
        """A redirect would lose the body."""
        check_progress(repository.client.post(repository.uploads.rstrip("/")), 202, 0)

    def test_sessions_are_many(self, repository):
        """One repository, any number of uploads, none of which knows another."""
        first, second = repository.start(), repository.start()
        repository.patch(first, b"first")
        check_progress(repository.client.get(second), 204, 0)

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("announced", [None, *ALGORITHMS])
    def test_algorithm_may_be_announced(self, repository, algorithm, announced):
        """Or not, or another one: what counts is the digest that closes the session."""
        query = "" if announced is None else f"?digest-algorithm={announced}"
        location = repository.start(query)
        for chunk in CHUNKS:
            location = repository.patch(location, chunk).headers["Location"]
        digest = digest_of(DATA, algorithm)
        answer = repository.close(location, digest)
        assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest)
        assert repository.client.get(answer.headers["Location"]).body == DATA

    @pytest.mark.parametrize("algorithm", ["md5", "sha384", "SHA256", "", "sha256:"])
    def test_unsupported_algorithm_is_400(self, repository, algorithm):
        """Rather than a session that can't be closed as its client means to."""
        answer = repository.client.post(f"{repository.uploads}?digest-algorithm={algorithm}")
        assert answer.refusal == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class ClosingTests:
    """PUT, with and without the last bytes."""

    @pytest.mark.parametrize("data", [b"data", DATA * 20, NOTHING], ids=["small", "large", "empty"])
    def test_whole_blob_in_one_put(self, repository, algorithm, data):
        """201 with a Location that can be pulled as it is."""
        digest = digest_of(data, algorithm)
        answer = repository.close(repository.start(), digest, data)
        assert (answer.status, answer.body) == (201, b"")
        assert answer.headers["Docker-Content-Digest"] == digest
        assert answer.headers["Content-Length"] == "0"
        assert answer.headers["Location"] == repository.blob(digest)
        got = repository.client.get(answer.headers["Location"])
        assert (got.status, got.body) == (200, data)

    def test_put_without_a_body_closes(self, repository, algorithm):
        """After chunks that were everything, the last of which may be small."""
        location, held = repository.start(), 0
        for chunk in CHUNKS:
            answer = repository.patch(location, chunk, span(held, chunk))
            held += len(chunk)
            location = check_progress(answer, 202, held)
        answer = repository.close(location, digest_of(DATA, algorithm))
        assert answer.status == 201
        assert repository.client.get(answer.headers["Location"]).body == DATA

    def test_put_with_the_last_chunk_closes(self, repository, algorithm):
        """What came before is not dropped."""
        location, held = repository.start(), 0
        for chunk in CHUNKS[:-1]:
            location = repository.patch(location, chunk, span(held, chunk)).headers["Location"]
            held += len(chunk)
        digest = digest_of(DATA, algorithm)
        answer = repository.close(location, digest, CHUNKS[-1], span(held, CHUNKS[-1]))
        assert answer.status == 201
        assert repository.client.get(repository.blob(digest)).body == DATA

    def test_empty_blob_by_an_empty_chunk(self, repository, algorithm):
        """A stream that turned out to be empty."""
        location = check_progress(repository.patch(repository.start(), []), 202, 0)
        digest = digest_of(NOTHING, algorithm)
        assert repository.close(location, digest).status == 201
        assert repository.client.get(repository.blob(digest)).body == b""

    @pytest.mark.parametrize("how", ["put", "patch, put", "patch, put with body", "stream, put"])
    def test_other_digest_is_400_and_nothing_is_visible(self, repository, algorithm, how):
        """Neither under that digest nor under the true one; the session stays as it is."""
        location, last = repository.start(), DATA
        if how != "put":
            first = DATA if how == "patch, put" else DATA[:5000]
            chunk = [first] if how == "stream, put" else first
            location = repository.patch(location, chunk).headers["Location"]
            last = DATA[len(first) :]
        wrong, right = digest_of(b"other", algorithm), digest_of(DATA, algorithm)
        answer = repository.close(location, wrong, last)
        assert answer.refusal == (400, "DIGEST_INVALID")
        assert not repository.has_blob(wrong) and not repository.has_blob(right)
        answer = repository.client.get(location)
        location = check_progress(answer, 204, len(DATA))
        assert repository.close(location, right).status == 201

    def test_session_ends_with_the_blob(self, repository, algorithm):
        """404 from then on."""
        location = repository.start()
        repository.close(location, digest_of(DATA, algorithm), DATA)
        assert repository.client.get(location).refusal == (404, "BLOB_UPLOAD_UNKNOWN")
        assert repository.patch(location, b"more").refusal == (404, "BLOB_UPLOAD_UNKNOWN")
        assert repository.client.delete(location).refusal == (404, "BLOB_UPLOAD_UNKNOWN")

    def test_put_whose_answer_was_lost_may_be_repeated(self, repository, algorithm):
        """201 again, with a body and without."""
        location, digest = repository.start(), digest_of(DATA, algorithm)
        for _ in range(2):
            assert repository.close(location, digest, DATA).status == 201
        location = repository.patch(repository.start(), DATA).headers["Location"]
        for _ in range(2):
            assert repository.close(location, digest).status == 201

    def test_put_may_be_chunked(self, repository, algorithm):
        """A stream in the closing request."""
        digest = digest_of(DATA, algorithm)
        answer = repository.close(repository.start(), digest, CHUNKS)
        assert answer.status == 201
        assert repository.client.get(repository.blob(digest)).body == DATA


class DigestParameterTests:
    """What PUT must say."""

    @pytest.mark.parametrize("query", ["", "&digest=", f"&digest={digest_of(DATA)}" * 2])
    def test_put_names_one_digest(self, repository, query):
        """400 else, and the session stays."""
        location = repository.start()
        answer = repository.client.put(location + query, DATA)
        assert answer.refusal == (400, "DIGEST_INVALID")
        check_progress(repository.client.get(location), 204, 0)

    def test_digest_may_be_encoded_and_come_first(self, repository):
        """Clients rebuild the query as they like."""
        location = repository.start()
        path, _, state = location.partition("?")
        digest = digest_of(DATA).replace(":", "%3A")
        assert repository.client.put(f"{path}?digest={digest}&{state}", DATA).status == 201


class ChunkTests:
    """PATCH."""

    def test_range_covers_everything_received(self, repository):
        """Not the last chunk only; chunks may be as small as a byte."""
        location = repository.start()
        for held in range(1, 6):
            location = check_progress(repository.patch(location, b"x"), 202, held)
        assert repository.close(location, digest_of(b"xxxxx")).status == 201

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_status_is_204_with_where_to_go_on(self, repository, method):
        """With the token of the present, whatever token was shown, if any."""
        old = repository.start()
        repository.patch(old, b"01234")
        for shown in (old, old.partition("?")[0], f"{old}x"):
            location = check_progress(repository.client.request(method, shown), 204, 5)
            assert location != old
        assert repository.close(location, digest_of(b"0123456789"), b"56789").status == 201

    @pytest.mark.parametrize("bad_first", [True, False])
    @pytest.mark.parametrize("offset", ["ahead", "again", "before"])
    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    def test_chunk_out_of_order_is_416_and_the_session_goes_on(
        self, repository, method, offset, bad_first
    ):
        """With Location and Range; GET tells the same, and both lead on to a whole blob."""
        location, held = repository.start(), 0
        if not bad_first:
            location, held = repository.patch(location, CHUNKS[0]).headers["Location"], 4096
        start = {"ahead": held + 4096, "again": max(held - 4096, 1), "before": held + 1}[offset]
        chunk = DATA[start : start + 100]
        target = location if method == "PATCH" else f"{location}&digest={digest_of(DATA)}"
        answer = repository.client.request(
            method, target, chunk, {"Content-Range": span(start, chunk)}
        )
        assert answer.refusal == (416, "RANGE_INVALID")
        told = check_progress(answer, 416, held)
        asked = check_progress(repository.client.get(location), 204, held)
        rest = DATA[held:]
        location = repository.patch(told, rest[:100], span(held, rest[:100])).headers["Location"]
        assert repository.patch(asked, rest[:100]).status == 416
        assert repository.close(location, digest_of(DATA), rest[100:]).status == 201
        assert repository.client.get(repository.blob(digest_of(DATA))).body == DATA

    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    def test_old_location_is_416(self, repository, method):
        """Without Content-Range the token says where the bytes belong."""
        old = repository.start()
        repository.patch(old, b"01234")
        target = old if method == "PATCH" else f"{old}&digest={digest_of(b'0123456789')}"
        answer = repository.client.request(method, target, b"56789")
        assert answer.refusal == (416, "RANGE_INVALID")
        location = check_progress(answer, 416, 5)
        assert repository.close(location, digest_of(b"0123456789"), b"56789").status == 201

    def test_content_range_counts_more_than_the_location(self, repository):
        """A client that keeps its first Location and says where the bytes belong is understood."""
        location = repository.start()
        for held in (0, 4096):
            chunk = DATA[held : held + 4096]
            check_progress(repository.patch(location, chunk, span(held, chunk)), 202, held + 4096)
        rest = DATA[8192:]
        assert repository.close(location, digest_of(DATA), rest, span(8192, rest)).status == 201

    @pytest.mark.parametrize(
        "content_range",
        ["bytes 5-9/10", "bytes=5-9", "bytes 5-9", "5-", "-9", "5", "5-9/10", "5 - 9", ""],
    )
    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    def test_malformed_content_range_is_400(self, repository, method, content_range):
        """It is ``a-b``; and nothing was appended."""
        location = repository.patch(repository.start(), b"01234").headers["Location"]
        target = location if method == "PATCH" else f"{location}&digest={digest_of(b'0123456789')}"
        answer = repository.client.request(
            method, target, b"56789", {"Content-Range": content_range}
        )
        assert answer.refusal == (400, "SIZE_INVALID")
        check_progress(repository.client.get(location), 204, 5)

    @pytest.mark.parametrize("content_range, status", [("5-8", 400), ("5-99", 400), ("9-5", 416)])
    def test_content_range_of_another_length_is_refused(self, repository, content_range, status):
        """Nothing was appended."""
        location = repository.patch(repository.start(), b"01234").headers["Location"]
        answer = repository.patch(location, b"56789", content_range)
        assert answer.status == status
        check_progress(repository.client.get(location), 204, 5)

    @pytest.mark.parametrize("content_type", ["application/octet-stream", None, "text/plain"])
    def test_content_type_means_nothing(self, repository, content_type):
        """Bytes are bytes, also if they look like a form."""
        headers = {} if content_type is None else {"Content-Type": content_type}
        answer = repository.client.request("PATCH", repository.start(), b"a=b&c=d", headers)
        check_progress(answer, 202, 7)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class StreamTests:
    """PATCH with chunked coding, of a length that nobody knows beforehand."""

    def test_stream_is_appended(self, repository, algorithm):
        """docker push: one streamed PATCH, one empty PUT."""
        answer = repository.patch(repository.start(), CHUNKS)
        location = check_progress(answer, 202, len(DATA))
        digest = digest_of(DATA, algorithm)
        assert repository.close(location, digest).status == 201
        assert repository.client.get(repository.blob(digest)).body == DATA

    def test_streams_and_chunks_may_be_mixed(self, repository, algorithm):
        """Whatever comes is put behind what is there."""
        location = repository.patch(repository.start(), CHUNKS[:1]).headers["Location"]
        location = repository.patch(location, CHUNKS[1], span(4096, CHUNKS[1])).headers["Location"]
        location = check_progress(repository.patch(location, CHUNKS[2:]), 202, len(DATA))
        assert repository.close(location, digest_of(DATA, algorithm)).status == 201

    def test_stream_may_say_where_it_belongs(self, repository, algorithm):
        """And must be as long as it says."""
        location = repository.patch(repository.start(), CHUNKS[0]).headers["Location"]
        rest = DATA[4096:]
        answer = repository.patch(location, [rest], "4096-9999999")
        assert answer.refusal == (400, "SIZE_INVALID")
        location = check_progress(repository.client.get(location), 204, len(DATA))
        assert repository.close(location, digest_of(DATA, algorithm)).status == 201
        location = repository.patch(repository.start(), CHUNKS[0]).headers["Location"]
        check_progress(repository.patch(location, [rest], span(4096, rest)), 202, len(DATA))


class CancelTests:
    """DELETE, and what has no session."""

    def test_cancelled_session_is_gone(self, repository):
        """204, then 404 for every method."""
        location = repository.patch(repository.start(), b"data").headers["Location"]
        answer = repository.client.delete(location)
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["Docker-Upload-UUID"] in location
        assert repository.client.get(location).refusal == (404, "BLOB_UPLOAD_UNKNOWN")
        assert repository.patch(location, b"more").refusal == (404, "BLOB_UPLOAD_UNKNOWN")
        answer = repository.close(location, digest_of(b"data"))
        assert answer.refusal == (404, "BLOB_UPLOAD_UNKNOWN")
        assert repository.client.delete(location).refusal == (404, "BLOB_UPLOAD_UNKNOWN")
        assert not repository.has_blob(digest_of(b"data"))

    @pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
    @pytest.mark.parametrize("state", ["", "&_state=", "&_state=AAAA", "&_state=%F0"])
    def test_token_of_nobody_is_404(self, repository, method, state):
        """A Location is used as it was given."""
        location = repository.start()
        path = location.partition("?")[0]
        target = f"{path}?digest={digest_of(DATA)}{state}"
        answer = repository.client.request(method, target, DATA)
        assert answer.refusal == (404, "BLOB_UPLOAD_INVALID")
        check_progress(repository.client.get(location), 204, 0)

    @pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
    def test_session_belongs_to_its_repository(self, repository, method):
        """Nobody goes on with it elsewhere."""
        location = repository.start()
        elsewhere = location.replace(repository.root, repository.sibling("other").root)
        answer = repository.client.request(method, f"{elsewhere}&digest={digest_of(DATA)}", DATA)
        assert answer.status == 404
        check_progress(repository.client.get(location), 204, 0)

    @pytest.mark.parametrize(
        "upload_id", ["1", str(uuid.UUID(int=7)), "..", "x" * 200, "a%2Fb", "a=b"]
    )
    def test_unknown_session_is_404(self, repository, upload_id):
        """Whatever the id looks like."""
        answer = repository.client.get(repository.uploads + upload_id)
        assert answer.refusal == (404, "BLOB_UPLOAD_UNKNOWN")
