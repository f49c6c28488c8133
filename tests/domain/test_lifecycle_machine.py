"""Every order of answers, deadlines, further challenges, cancels and crashes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from moica_gateway.domain.lifecycle import (
    AddChallenge,
    Answered,
    BeginEnded,
    Cancel,
    CredentialGone,
    Decision,
    SettleBy,
    Verified,
    decide,
)
from moica_gateway.domain.models import (
    Begun,
    Challenge,
    ChallengeStatus,
    Channel,
    Document,
    Fault,
    Handle,
    Kind,
    Lapsed,
    Pending,
    Refused,
    SignatureResult,
    StartUnknown,
    Status,
    Transaction,
)
from moica_gateway.domain.policy import TenantPolicy
from moica_gateway.domain.values import (
    ChallengeId,
    DocumentId,
    PersonId,
    TenantId,
    TransactionId,
)
from moica_gateway.errors import GatewayError, problem

START = datetime(2026, 4, 29, 6, 58, 11, tzinfo=UTC)
CODES = ("upstream_unavailable", "device_not_bound", "push_unavailable", "wrong_device")
_REFUSALS = ("transaction_closed", "challenge_limit")
FAULTS = st.sampled_from(CODES).map(
    lambda code: Fault(problem=problem(code, "x", upstream_code="X"), spoke=True)
)


def new_challenge(name: str, now: datetime, limit: int = 60) -> Challenge:
    """One that is being started."""
    return Challenge(
        id=ChallengeId(name),
        channel=Channel.PUSH,
        status=ChallengeStatus.STARTING,
        upstream_transaction_id=name,
        time_limit=limit,
        created_at=now,
        expires_at=now + timedelta(seconds=limit),
        sp_key_id="k",
    )


def new_transaction(limit: int = 60) -> Transaction:
    """Pending, with its first challenge starting."""
    challenge = new_challenge("c1", START, limit)
    return Transaction(
        id=TransactionId("txn_1"),
        tenant=TenantId("t"),
        version=1,
        kind=Kind.SIGNATURE,
        status=Status.PENDING,
        created_at=START,
        expires_at=challenge.expires_at,
        user_id="u",
        person_id=PersonId("p"),
        match_code="42",
        hint="h",
        documents=(Document(id=DocumentId("d"), number="1", sha256="00"),),
        challenges=(challenge,),
        policy=TenantPolicy(),
        time_limit=limit,
        format="cades",
    )


def handle(name: str) -> Handle:
    """A ticket."""
    return Handle(transaction_id=name, ticket="t", ticket_id=name, sp_key_id="k", sent_checksums=())


def verified() -> Verified:
    """An approval that the judge accepted."""
    return Verified(signature=SignatureResult(certificate=b"c", signed_at=START, report=()))


class Lifecycle(RuleBasedStateMachine):
    """The model knows only what may never happen."""

    @initialize(limit=st.sampled_from([30, 60, 600]))
    def begin(self, limit: int) -> None:
        """A fresh transaction."""
        self.now = START
        self.transaction = new_transaction(limit)
        self.announced: list[str] = []
        self.ended: Transaction | None = None
        self.approved = False
        self.count = 1

    def apply(self, event: object) -> Decision | None:
        before = self.transaction
        try:
            decision = decide(before, event, self.now)  # type: ignore[arg-type]
        except GatewayError as e:
            if not isinstance(event, AddChallenge) or e.code not in _REFUSALS:
                raise
            return None
        after = decision.transaction
        if not decision.changed:
            assert after == before
        elif before.status.terminal:
            assert evolve(after, challenges=before.challenges) == before
        else:
            assert after.version == before.version + 1
        if decision.announce:
            self.announced.append(decision.announce)
        assert (decision.announce is not None) == (
            after.status.terminal and not before.status.terminal
        )
        self.transaction = after
        return decision

    def any_challenge(self, data: st.DataObject) -> Challenge:
        return data.draw(st.sampled_from(self.transaction.challenges))

    @rule(seconds=st.integers(0, 120))
    def time_passes(self, seconds: int) -> None:
        """The clock goes on."""
        self.now += timedelta(seconds=seconds)

    @rule(data=st.data())
    def ticket_arrives(self, data: st.DataObject) -> None:
        """The platform answers with a ticket."""
        challenge = self.any_challenge(data)
        self.apply(BeginEnded(challenge_id=challenge.id, result=Begun(handle=handle(challenge.id))))

    @rule(data=st.data(), fault=FAULTS)
    def beginning_fails(self, data: st.DataObject, fault: Fault) -> None:
        """The platform answers with a code."""
        self.apply(BeginEnded(challenge_id=self.any_challenge(data).id, result=fault))

    @rule()
    def crash(self) -> None:
        """After a restart, what was being started is unknown."""
        for challenge in self.transaction.challenges:
            if challenge.status is ChallengeStatus.STARTING:
                self.apply(
                    BeginEnded(challenge_id=challenge.id, result=StartUnknown(detail="crash"))
                )

    @rule(data=st.data(), fault=FAULTS, which=st.integers(0, 3))
    def answer(self, data: st.DataObject, fault: Fault, which: int) -> None:
        """A poll is answered."""
        refused = Refused(problem=problem("holder_refused", "x"))
        answer = (Pending(), Lapsed(), refused, fault)[which]
        self.apply(Answered(challenge_id=self.any_challenge(data).id, answer=answer))

    @rule(data=st.data())
    def approval(self, data: st.DataObject) -> None:
        """A verified approval of any challenge."""
        challenge = self.any_challenge(data)
        was_open = challenge.status.open and not self.transaction.status.terminal
        decision = self.apply(Answered(challenge_id=challenge.id, answer=verified()))
        assert decision is not None
        if was_open:
            assert self.transaction.status is Status.COMPLETED
            self.approved = True

    @rule(data=st.data(), fault=FAULTS)
    def settle(self, data: st.DataObject, fault: Fault) -> None:
        """`settle_by` comes."""
        words = {
            c.id: data.draw(st.sampled_from([None, Pending(), Lapsed(), fault]))
            for c in self.transaction.challenges
        }
        self.apply(SettleBy(last_words=words))
        if self.now >= self.transaction.expires_at:
            assert self.transaction.status.terminal

    @rule(which=st.sampled_from([Cancel(), CredentialGone()]))
    def end(self, which: Cancel | CredentialGone) -> None:
        """The document system ends it."""
        self.apply(which)
        assert self.transaction.status.terminal

    @rule()
    def further_challenge(self) -> None:
        """QR, while it is pending."""
        self.count += 1
        self.apply(AddChallenge(challenge=new_challenge(f"c{self.count}", self.now)))

    @invariant()
    def an_ended_one_never_changes(self) -> None:
        """Status, error, documents and version stay; nothing of it is open."""
        now = self.transaction
        if not now.status.terminal:
            return
        if self.ended is None:
            self.ended = now
        assert now.open_challenges == ()
        assert (now.status, now.error, now.documents, now.version) == (
            self.ended.status,
            self.ended.error,
            self.ended.documents,
            self.ended.version,
        )
        assert len(self.announced) == 1

    @invariant()
    def limits_hold(self) -> None:
        """At most five challenges and 600 s; completed only through an approval."""
        now = self.transaction
        assert len(now.challenges) <= 5
        assert now.expires_at <= now.created_at + timedelta(seconds=600)
        if not now.status.terminal:
            assert now.expires_at == max(c.expires_at for c in now.challenges)
        assert (now.status is Status.COMPLETED) == self.approved


Lifecycle.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestLifecycle = Lifecycle.TestCase
