"""Which mistakes explain a checksum: single ones first, then pairs, each proved by the hash.

Nothing is guessed at: a diagnosis is named only if a payload made with exactly these mistakes has
the hash that came. What takes more than a pair stays unnamed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from moica_simulator.checksum import AesKey
from moica_simulator.explain.container import KeyGuess, Opened, length_hint, open_somehow
from moica_simulator.explain.digests import Reading, is_written_hash, readings
from moica_simulator.explain.mistake import Mistake
from moica_simulator.explain.payloads import (
    Covered,
    Joining,
    joinings,
    subsets_and_orders,
    whole_bodies,
)
from moica_simulator.explain.spellings import Encoding, Piece, Values, encodings, values

__all__ = ["diagnose", "open_checksum_somehow"]

Diagnosis = tuple[Mistake, ...]
Candidate = tuple[bytes, Diagnosis]

_BEGIN = 16
_MOST = 3
_ONE_OF = ("charset", "unicode_form")
"""Of these one is enough: where several encodings give the same bytes, either is the mistake."""
_ASSOCIATED = ("sp_service_id", "transaction_id", "id_num")


def open_checksum_somehow(sent: str, covered: Covered, keys: Sequence[KeyGuess]) -> Opened | None:
    """Opens a checksum, by mistaken ways too."""
    right = _joined(Joining(covered.order), _plain(covered))
    own = {each.digest for each in _digests_of(right)}

    def recognised(text: bytes) -> bool:
        # Strict: a mode that proves nothing may bring out the right text without its first block.
        begins_alike = len(right) >= _BEGIN and text.startswith(right[:_BEGIN])
        return text in own or begins_alike or is_written_hash(text)

    associated = {name: value for name in _ASSOCIATED if (value := covered.values.get(name))}
    return open_somehow(sent, keys, recognised, associated)


def diagnose(
    opened: Opened | None,
    sent: str,
    covered: Covered,
    key: AesKey,
    *,
    body_text: str = "",
    others: Mapping[str, Mistake],
) -> tuple[Diagnosis, ...]:
    """Returns what explains a checksum; several where several do equally well.

    Args:
        opened: What came out of it, or None.
        sent: As it came.
        covered: What it has to cover.
        key: The right key.
        body_text: The JSON body as sent, if it is known to the letter.
        others: Hashes (lower-case hex) that stand for something else, e.g. for another request.

    Returns:
        At least one; `unknown` stands for what takes more, or has no name here.
    """
    if opened is None:
        hint = length_hint(sent)
        unknown = Mistake(
            "not_opened",
            "以這把 AES 金鑰解不開：用了另一把金鑰，或在途中被改過",
            "it does not decrypt: another AES key, or altered on the way",
            sure=False,
        )
        return ((hint or unknown,),)
    read = tuple(readings(opened.text, key.raw))
    for reading in read:
        if (other := others.get(reading.digest.hex())) is not None:
            return ((*opened.mistakes, *reading.mistakes, other),)
    for level in _levels(covered, body_text):
        found: dict[tuple[str, ...], Diagnosis] = {}
        for candidate, wrong in level:
            for reading in read:
                if (reading.common or not wrong) and reading.hash(candidate) == reading.digest:
                    made = (*opened.mistakes, *reading.mistakes, *wrong)
                    told = tuple(each.name if each.name in _ONE_OF else each.zh for each in made)
                    found.setdefault(told, made)
        if found:
            fewest = min(len(each) for each in found.values())
            return tuple(
                islice((each for each in found.values() if len(each) == fewest and each), _MOST)
            )
    unknown = Mistake(
        "unknown",
        "解得開，但涵蓋的是另一串內容，不是任何已知的錯誤（或是兩個以上的錯誤）；請逐欄比對應有的內容",
        "it opens, but covers another payload, by no mistake that is known here, or by more than "
        "two; compare yours with the payload field by field",
        sure=False,
    )
    return ((*opened.mistakes, unknown),)


def _levels(covered: Covered, body_text: str) -> Iterator[Iterator[Candidate]]:
    every = {**covered.flat(), **covered.values}
    plain = _plain(covered)
    spelled = tuple(values({name: every[name] for name in covered.order}))[1:]
    joined = tuple(joinings(covered))
    encoded = tuple(encodings())
    right, utf8 = joined[0], encoded[0]

    def made(joining: Joining, value: Values, encoding: Encoding) -> Iterator[Candidate]:
        wrong = (joining.mistake, value.mistake, encoding.mistake)
        yield (
            encoding.encode(_pieces(joining, {**plain, **value.values})),
            tuple(each for each in wrong if each is not None),
        )

    nothing = Values(plain)
    # First of all: what comes to the same bytes is no mistake, e.g. NFC where all is NFC already.
    yield iter(((_joined(right, plain), ()),))

    def singles() -> Iterator[Candidate]:
        for joining in joined[1:]:
            yield from made(joining, nothing, utf8)
        for value in spelled:
            yield from made(right, value, utf8)
        for encoding in encoded[1:]:
            yield from made(right, nothing, encoding)
        for text, mistake in whole_bodies(covered, body_text):
            yield text.encode("utf-8", "replace"), (mistake,)

    yield singles()
    yield (each for joining in subsets_and_orders(covered) for each in made(joining, nothing, utf8))

    def pairs() -> Iterator[Candidate]:
        for joining in joined[1:]:
            for value in spelled:
                yield from made(joining, value, utf8)
            for encoding in encoded[1:]:
                yield from made(joining, nothing, encoding)
        for value in spelled:
            for encoding in encoded[1:]:
                yield from made(right, value, encoding)

    yield pairs()


def _plain(covered: Covered) -> dict[str, Piece]:
    filled = {name: value or "" for name, value in covered.values.items()}
    return {**covered.flat(), **filled}


def _pieces(joining: Joining, given: Mapping[str, Piece]) -> list[Piece]:
    pieces: list[Piece] = []
    for name in joining.names:
        value = given.get(name, "")
        if joining.only_filled and not value:
            continue
        if pieces and joining.between:
            pieces.append(joining.between)
        if joining.named:
            pieces.append(name + joining.named.strip("\0"))
        pieces.append(value)
    return pieces


def _joined(joining: Joining, given: Mapping[str, Piece]) -> bytes:
    utf8: Callable[[list[Piece]], bytes] = next(encodings()).encode
    return utf8(_pieces(joining, given))


def _digests_of(payload: bytes) -> Iterator[Reading]:
    """The raw digests of the right payload, which no other test would tell from noise."""
    for size in (16, 20, 32, 48, 64):
        for reading in readings(bytes(size), b""):
            if len(reading.digest) == size:
                yield Reading(reading.hash(payload), reading.hash)
