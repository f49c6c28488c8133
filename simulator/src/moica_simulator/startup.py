"""How a simulator is set up, and what it takes from its state folder or makes anew."""

from concurrent.futures import Executor
from pathlib import Path

import attrs

from moica_simulator.ca.authority import Authority, PkiUrls, found_authority
from moica_simulator.clock import Clock
from moica_simulator.keys import GeneratedKeys, KeySource
from moica_simulator.log import Logger
from moica_simulator.mode import NORMAL, Mode
from moica_simulator.multiprime import MultiPrimeKey
from moica_simulator.phone.signing_key import SigningKey, TwoPrimeKey
from moica_simulator.randomness import Randomness
from moica_simulator.state import State

__all__ = ["CoreOptions", "CoreParts", "make_core_parts"]


@attrs.frozen
class CoreOptions:
    """How a core is made; see `Simulator.start`."""

    public_url: str
    log: Logger
    state_folder: Path | None = None
    mode: Mode = NORMAL
    keys: KeySource = attrs.field(factory=GeneratedKeys)
    clock: Clock | None = None
    randomness: Randomness = attrs.field(factory=Randomness)
    history_limit: int = 10_000
    ticket_limit: int = 10_000

    def new_key(self) -> SigningKey:
        """Makes a signing key for a phone or card; blocks."""
        if self.mode.prepared_keys:
            return MultiPrimeKey.generate()
        return TwoPrimeKey(self.keys.rsa_key(2048))


@attrs.frozen
class CoreParts:
    """What has to be there before the rooms are put together."""

    state: State
    clock: Clock
    authority: Authority


async def make_core_parts(options: CoreOptions, executor: Executor) -> CoreParts:
    """Opens the store and takes clock and CA from it, or makes them anew."""
    state = State(options.state_folder)
    clock = options.clock or Clock.kept(state.setting("clock", str))
    clock.on_change(lambda: state.set("clock", clock.keep()))
    kept = state.ca.material.get("only")
    if kept is not None:
        return CoreParts(state, clock, Authority.load(kept))
    authority = await found_authority(
        options.keys,
        executor=executor,
        bits=2048 if options.mode.fast else 3072,
        now=clock.now(),
        randomness=options.randomness,
        urls=PkiUrls(options.public_url),
    )
    state.ca.material.put(authority.export())
    return CoreParts(state, clock, authority)
