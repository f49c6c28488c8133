"""The profile `chaos`: for every other answer a fault, drawn from a seed.

Each request has dice of its own, thrown by seed and number: what befalls the tenth request does
not depend on what the ninth was or became. A drawn fault that finds nothing to alter in its
answer (a certificate, in a refusal) leaves it as it is. Two kinds are never drawn, since each
would hold its request for many seconds or cost as many of a core: `drip` and `gzip_bomb`.
"""

import random
from collections.abc import Callable
from typing import Any

from moica_simulator.alterations import Alteration
from moica_simulator.codes import catalogue
from moica_simulator.faults import Drop, Fault, Line, possible_tampers
from moica_simulator.platform.wire import Interface

__all__ = ["Chaos"]

_RATE = 0.5
_STATUSES = (400, 401, 403, 404, 408, 429, 500, 502, 503, 504)
_LINES = tuple(line for line in Line if line not in (Line.DRIP, Line.GZIP_BOMB))
_SKEWS_S = (-86_400.0, -3600.0, -60.0, -5.0, 5.0, 60.0, 3600.0, 86_400.0)

_Harm = dict[str, Any]


class Chaos:
    """Draws faults.

    Args:
        seed: Any whole number; the same one draws the same faults.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._number = 0

    def draw(self, interface: Interface) -> Fault | None:
        """Returns what is to befall the next request, or None for nothing.

        Args:
            interface: Which was asked; only what can befall it is drawn.
        """
        self._number += 1
        # Text is hashed by the random module itself, the same in every process.
        dice = random.Random(f"{self.seed}/{self._number}")  # noqa: S311 - repeatable on purpose
        if dice.random() >= _RATE:
            return None
        kinds = _KINDS if interface is not Interface.REDIRECT else _CALLBACK_KINDS
        if interface in (Interface.GET_RESULT, Interface.DEVICE_STATUS):
            kinds = tuple(kind for kind in kinds if kind is not _ticket_skew)
        harm = dice.choice(kinds)(dice, interface)
        return Fault(
            fault_id=f"chaos/{self.seed}/{self._number}", interface=interface, drawn=True, **harm
        )


def _code(dice: random.Random, _: Interface) -> _Harm:
    return {"code": dice.choice(sorted(catalogue()))}


def _http_status(dice: random.Random, _: Interface) -> _Harm:
    return {"http_status": dice.choice(_STATUSES)}


def _latency(dice: random.Random, _: Interface) -> _Harm:
    return {"latency_s": dice.randint(1, 30) / 100}


def _drop(dice: random.Random, _: Interface) -> _Harm:
    return {"drop": dice.choice(tuple(Drop))}


def _tamper(dice: random.Random, interface: Interface) -> _Harm:
    tampers = sorted(possible_tampers(interface))
    return {"tamper": dice.choice(tampers), "reseal": dice.random() < 0.5}


def _alter(dice: random.Random, _: Interface) -> _Harm:
    return {"alter": dice.choice(tuple(Alteration))}


def _line(dice: random.Random, _: Interface) -> _Harm:
    return {"line": dice.choice(_LINES)}


def _clock_skew(dice: random.Random, _: Interface) -> _Harm:
    return {"clock_skew_s": dice.choice(_SKEWS_S)}


def _ticket_skew(dice: random.Random, _: Interface) -> _Harm:
    return {"ticket_skew_s": dice.choice(_SKEWS_S)}


_Kind = Callable[[random.Random, Interface], _Harm]
_CALLBACK_KINDS: tuple[_Kind, ...] = (_code, _http_status, _latency, _drop, _tamper)
_KINDS: tuple[_Kind, ...] = (*_CALLBACK_KINDS, _alter, _line, _clock_skew, _ticket_skew)
