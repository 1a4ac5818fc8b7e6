"""Another service that is asked whether a request may pass: what it answered, remembered for a while.

Rules:

* Only that a request may pass is remembered, for exactly what was asked: the mark of all that was sent.
* While answers are remembered, one question is under way for all who ask the same. They share the answer, unless it
  sets a cookie: that is one client's own, and the others ask for themselves.
* A call ends when nobody waits for it any more.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from gwproxy.calls import Answer, CallFailed
from gwproxy.filters.api import FilterContext, Header, Reply
from gwproxy.filters.decision import Denial
from gwproxy.http.headers import Headers, get
from gwproxy.runtime.recent import Recent
from gwproxy.runtime.waiting import Waiting

_log = Logger(namespace="gwproxy")

# RFC 9110 section 5.5: what no value may have in it. Servers read the rest of such a line as they like.
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search


@attrs.frozen
class Question:
    """How it is asked, and what is read of an answer. Names of fields in lower case."""

    url: str
    method: str
    take: frozenset[bytes]  # of an answer that lets pass: for the request
    show: frozenset[bytes]  # of any other answer: for the client
    subject: bytes  # the field with who it is; empty: none
    timeout: float
    max_answer: int
    max_calls: int
    cache_ttl: float
    cache_size: int
    ca_file: Path | None


@attrs.frozen
class Passed:
    """The request may pass, with these fields, and is this subject's if the service said so."""

    fields: list[Header] = attrs.field(repr=False)
    subject: str


@attrs.frozen
class Refused:
    """It may not, and this is the answer."""

    reply: Reply = attrs.field(repr=False)
    denial: Denial = Denial.AUTHORITY_DENIED

    @property
    def is_personal(self) -> bool:
        """Whether it is for one client only."""
        return get(self.reply.headers, b"set-cookie") is not None


class Silence(StrEnum):
    """There is no answer that says whether it may."""

    UNAVAILABLE = "unavailable"


Finding = Passed | Refused | Silence


class Authority:
    """One service as one filter asks it. To be kept, for all that its meaning depends on."""

    def __init__(self, question: Question, context: FilterContext) -> None:
        self._question = question
        self._name = context.name
        self._calls = context.calls
        self._seconds = context.reactor.seconds
        self._secret = secrets.token_bytes(32)
        # By mark: who may pass, and until when that is believed.
        self._passed: Recent[bytes, tuple[Passed, float]] = Recent(question.cache_size)
        self._asking: dict[bytes, Waiting[Finding]] = {}
        self._under_way = 0
        self._failing = False
        self._counters = {
            outcome: context.meters.counter(
                "forward_auth_calls", "Questions to other services.", filter=context.name, outcome=outcome
            )
            for outcome in ("pass", "refuse", "error")
        }

    def __repr__(self) -> str:
        return f"<Authority {self._question.url} {self._under_way} under way>"

    def ask(self, sent: Headers) -> Finding | Deferred[Finding]:
        """Whether a request may pass of which `sent` is told. May be cancelled."""
        question = self._question
        if not question.cache_ttl:
            return self._call(sent)
        # No name and no value has a newline in it.
        told = b"\n".join([part for pair in sent for part in pair])
        mark = blake2b(told, digest_size=32, key=self._secret).digest()
        found = self._passed.get(mark)
        return found[0] if found is not None and self._seconds() < found[1] else self._join(mark, sent)

    def _join(self, mark: bytes, sent: Headers) -> Deferred[Finding]:
        waiting = self._asking.get(mark)
        if waiting is not None:
            return waiting.join().addCallback(self._own, sent)
        call: Deferred[Any] = self._call(sent)
        waiting = self._asking[mark] = Waiting(call.cancel)
        answer = waiting.join()
        call.addBoth(self._tell, mark)
        return answer

    def _own(self, finding: Finding, sent: Headers) -> Finding | Deferred[Finding]:
        """For who waited with others: the answer, unless it is for the one who asked."""
        return self._call(sent) if isinstance(finding, Refused) and finding.is_personal else finding

    def _tell(self, result: Finding | Failure, mark: bytes) -> None:
        if isinstance(result, Passed):
            self._passed.put(mark, (result, self._seconds() + self._question.cache_ttl))
        self._asking.pop(mark).tell(result)

    # One call

    def _call(self, sent: Headers) -> Deferred[Finding]:
        question = self._question
        if self._under_way >= question.max_calls:
            return succeed(self._note_error("more questions than max_calls are under way"))
        self._under_way += 1
        asked: Deferred[Any] = maybeDeferred(
            self._calls.request,
            question.method,
            question.url,
            headers=sent,
            timeout=question.timeout,
            max_size=question.max_answer,
            ca_file=question.ca_file,
        )
        return asked.addBoth(self._landed).addCallbacks(self._judge, self._failed)

    def _landed(self, result: Any) -> Any:
        self._under_way -= 1
        return result

    def _judge(self, answer: Answer) -> Finding:
        status = answer.status
        if not 200 <= status < 500:
            return self._note_error(f"it answers {status}")
        fields = _named(answer.headers, self._question.take if status < 300 else self._question.show)
        subject = get(answer.headers, self._question.subject) if status < 300 and self._question.subject else None
        if any(_CONTROL(value) for _, value in fields) or _CONTROL(subject or b""):
            self._note_error("its answer has a field with control characters")
            return _answered_badly()
        self._failing = False
        if status < 300:
            self._counters["pass"].value += 1
            return Passed(fields, (subject or b"").decode("utf-8", "replace"))
        self._counters["refuse"].value += 1
        return Refused(Reply(status, fields, answer.body, detail=str(Denial.AUTHORITY_DENIED)))

    def _failed(self, failure: Failure) -> Finding:
        error = failure.value
        if not isinstance(error, CallFailed):
            failure.raiseException()
        silence = self._note_error(str(error))
        return _answered_badly() if error.why == "too_large" else silence

    def _note_error(self, why: str) -> Silence:
        self._counters["error"].value += 1
        if not self._failing:  # said once, until an answer comes
            self._failing = True
            _log.error("[filter:{name}] {url} cannot be asked: {why}", name=self._name, url=self._question.url, why=why)
        return Silence.UNAVAILABLE


def unavailable() -> Reply:
    """What a client gets when nobody can tell."""
    return Reply(503, [(b"Retry-After", b"5")], detail=str(Denial.AUTHORITY_UNAVAILABLE))


def _answered_badly() -> Refused:
    """It did answer, and who asks may have a hand in how long that is, or in what stands in it: never a reason to let
    pass."""
    return Refused(unavailable(), Denial.AUTHORITY_UNAVAILABLE)


def _named(headers: Iterable[Header], names: frozenset[bytes]) -> list[Header]:
    return [pair for pair in headers if pair[0].lower() in names]
