"""The blocking client: the asynchronous one on a loop of its own, in a thread of its own.

The same code answers, so there is no second copy to go wrong. Safe to share among threads; after a
fork the child gets a loop and a connection of its own at its first call.
"""

from __future__ import annotations

import concurrent.futures
import functools
import os
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from moica_gateway.background import LoopThread
from moica_gateway.client import GatewayClient
from moica_gateway.errors import error
from moica_gateway.wire import TransactionView

__all__ = ["BlockingGatewayClient"]

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[GatewayClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingGatewayClient, P], T]:
    """The same call with the same arguments, waited for."""

    def call(self: BlockingGatewayClient, /, *args: P.args, **named: P.kwargs) -> T:
        return self._run(lambda client: method(client, *args, **named))

    functools.update_wrapper(call, method)
    return call


class BlockingGatewayClient:
    """``with BlockingGatewayClient(base_url, api_key) as client:``; see `GatewayClient`."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        ca_file: str | None = None,
        timeout: float = 20.0,
    ) -> None:
        self._new: Callable[[], GatewayClient] = lambda: GatewayClient(
            base_url, api_key, ca_file=ca_file, timeout=timeout
        )
        self._lock = threading.Lock()
        self._runner: LoopThread | None = None
        self._client = self._new()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connection and thread; a later call opens them again."""
        with self._lock:
            runner, self._runner = self._runner, None
            if runner is not None and runner.pid == os.getpid():
                runner.begin(self._client.close()).result()
                runner.stop()

    def _run(self, call: Callable[[GatewayClient], Coroutine[Any, Any, T]]) -> T:
        with self._lock:  # so that `close` comes before or after, never in between
            if self._runner is not None and self._runner.pid != os.getpid():
                # A child must not share the parent's connection.
                self._runner = None
                self._client = self._new()
            if self._runner is None:
                self._runner = LoopThread(self._client)
            future = self._runner.begin(call(self._client))
        try:
            return future.result()
        except concurrent.futures.CancelledError as e:
            raise error(
                "upstream_unreachable", "the client was closed before the answer came"
            ) from e
        except BaseException:
            future.cancel()  # Control-C: nobody waits for it any more
            raise

    def transactions(
        self,
        *,
        user_id: str | None = None,
        document_number: str | None = None,
        status: str | None = None,
        kind: str | None = None,
    ) -> list[TransactionView]:
        """See `GatewayClient.transactions`; all pages."""

        async def collect(client: GatewayClient) -> list[TransactionView]:
            found = client.transactions(
                user_id=user_id, document_number=document_number, status=status, kind=kind
            )
            return [view async for view in found]

        return self._run(collect)

    register = _blocking(GatewayClient.register)
    sign = _blocking(GatewayClient.sign)
    begin_registration = _blocking(GatewayClient.begin_registration)
    authenticate = _blocking(GatewayClient.authenticate)
    begin_authentication = _blocking(GatewayClient.begin_authentication)
    device_status = _blocking(GatewayClient.device_status)
    sign_batch = _blocking(GatewayClient.sign_batch)
    begin_batch = _blocking(GatewayClient.begin_batch)
    begin_signature = _blocking(GatewayClient.begin_signature)
    outcome = _blocking(GatewayClient.outcome)
    transaction = _blocking(GatewayClient.transaction)
    wait = _blocking(GatewayClient.wait)
    artifact = _blocking(GatewayClient.artifact)
    evidence = _blocking(GatewayClient.evidence)
    verify = _blocking(GatewayClient.verify)
    events = _blocking(GatewayClient.events)
    add_challenge = _blocking(GatewayClient.add_challenge)
    cancel = _blocking(GatewayClient.cancel)
    cancel_document = _blocking(GatewayClient.cancel_document)
    browser_token = _blocking(GatewayClient.browser_token)
    page = _blocking(GatewayClient.page)
    credentials = _blocking(GatewayClient.credentials)
    enable_credential = _blocking(GatewayClient.enable_credential)
    disable_credential = _blocking(GatewayClient.disable_credential)
    delete_credential = _blocking(GatewayClient.delete_credential)
    delete_user = _blocking(GatewayClient.delete_user)
