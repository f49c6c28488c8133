"""The blocking client: the asynchronous one on a loop of its own, in a thread of its own.

The same code answers, so there is no second copy to go wrong. Safe to share among threads; after a
fork the child gets a loop and a connection of its own at its first call.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from moica_gateway.client import Artifact, GatewayClient
from moica_gateway.errors import error
from moica_gateway.wire import (
    CredentialView,
    DeviceStatusView,
    DocumentRequest,
    EventView,
    OnBehalfOf,
    TransactionView,
)

__all__ = ["BlockingGatewayClient"]

T = TypeVar("T")


class _Runner:
    """A loop in a daemon thread."""

    def __init__(self, client: GatewayClient) -> None:
        self.pid = os.getpid()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._serve, args=(client,), name="moica-gateway-client", daemon=True
        )
        self._thread.start()

    def _serve(self, client: GatewayClient) -> None:
        # After a fork this frame lives on in the child and keeps the parent's connection from
        # being finalised there: that would unregister it from the poll that the two share.
        self.loop.run_forever()
        del client

    def begin(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def stop(self) -> None:
        self.begin(self._cancel_all()).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _cancel_all(self) -> None:
        # Whoever still waits for an answer in another thread must not wait for ever.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


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
        self._arguments: dict[str, Any] = {"ca_file": ca_file, "timeout": timeout}
        self._base_url, self._api_key = base_url, api_key
        self._lock = threading.Lock()
        self._runner: _Runner | None = None
        self._client = GatewayClient(base_url, api_key, **self._arguments)

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

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:  # so that `close` comes before or after, never in between
            if self._runner is None or self._runner.pid != os.getpid():
                self._runner = _Runner(self._client)
            future = self._runner.begin(work)
        try:
            return future.result()
        except concurrent.futures.CancelledError as e:
            raise error(
                "upstream_unreachable", "the client was closed before the answer came"
            ) from e
        except BaseException:
            future.cancel()  # Control-C: nobody waits for it any more
            raise

    def _fresh(self) -> GatewayClient:
        """Of this process: a child must not share the parent's connection."""
        with self._lock:
            if self._runner is not None and self._runner.pid != os.getpid():
                self._runner = None
                self._client = GatewayClient(self._base_url, self._api_key, **self._arguments)
            return self._client

    def register(
        self,
        *,
        user_id: str,
        id_number: str,
        user_name: str | None = None,
        channel: str = "push",
        device_name: str | None = None,
        time_limit: int | None = None,
        enable: bool = True,
        supersede: bool = False,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> TransactionView:
        """See `GatewayClient.register`."""
        return self._run(
            self._fresh().register(
                user_id=user_id,
                id_number=id_number,
                user_name=user_name,
                channel=channel,
                device_name=device_name,
                time_limit=time_limit,
                enable=enable,
                supersede=supersede,
                metadata=metadata,
                idempotency_key=idempotency_key,
            )
        )

    def sign(
        self,
        *,
        user_id: str,
        document: DocumentRequest,
        format: str | None = None,
        level: str | None = None,
        channel: str = "push",
        device_name: str | None = None,
        time_limit: int | None = None,
        on_behalf_of: OnBehalfOf | None = None,
        supersede: bool = False,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> TransactionView:
        """See `GatewayClient.sign`."""
        return self._run(
            self._fresh().sign(
                user_id=user_id,
                document=document,
                format=format,
                level=level,
                channel=channel,
                device_name=device_name,
                time_limit=time_limit,
                on_behalf_of=on_behalf_of,
                supersede=supersede,
                metadata=metadata,
                idempotency_key=idempotency_key,
            )
        )

    def authenticate(
        self,
        *,
        user_id: str | None = None,
        id_number: str | None = None,
        channel: str = "push",
        device_name: str | None = None,
        time_limit: int | None = None,
        supersede: bool = False,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> TransactionView:
        """See `GatewayClient.authenticate`."""
        return self._run(
            self._fresh().authenticate(
                user_id=user_id,
                id_number=id_number,
                channel=channel,
                device_name=device_name,
                time_limit=time_limit,
                supersede=supersede,
                metadata=metadata,
                idempotency_key=idempotency_key,
            )
        )

    def device_status(
        self, *, user_id: str | None = None, id_number: str | None = None
    ) -> DeviceStatusView:
        """See `GatewayClient.device_status`."""
        return self._run(self._fresh().device_status(user_id=user_id, id_number=id_number))

    def transaction(self, transaction_id: str) -> TransactionView:
        """See `GatewayClient.transaction`."""
        return self._run(self._fresh().transaction(transaction_id))

    def wait(
        self, transaction_id: str, *, since: int | None = None, seconds: float = 660.0
    ) -> TransactionView:
        """See `GatewayClient.wait`."""
        return self._run(self._fresh().wait(transaction_id, since=since, seconds=seconds))

    def transactions(self, **where: str | None) -> list[TransactionView]:
        """See `GatewayClient.transactions`; all pages."""

        client = self._fresh()

        async def collect() -> list[TransactionView]:
            return [view async for view in client.transactions(**where)]

        return self._run(collect())

    def artifact(self, transaction_id: str, document_id: str | None = None) -> Artifact:
        """See `GatewayClient.artifact`."""
        return self._run(self._fresh().artifact(transaction_id, document_id))

    def events(self, after: str = "", limit: int = 50) -> tuple[list[EventView], str]:
        """See `GatewayClient.events`."""
        return self._run(self._fresh().events(after, limit))

    def add_challenge(
        self, transaction_id: str, channel: str, return_url: str | None = None
    ) -> TransactionView:
        """See `GatewayClient.add_challenge`."""
        return self._run(self._fresh().add_challenge(transaction_id, channel, return_url))

    def cancel(self, transaction_id: str) -> TransactionView:
        """See `GatewayClient.cancel`."""
        return self._run(self._fresh().cancel(transaction_id))

    def cancel_document(self, document_number: str) -> list[TransactionView]:
        """See `GatewayClient.cancel_document`."""
        return self._run(self._fresh().cancel_document(document_number))

    def browser_token(self, transaction_id: str) -> str:
        """See `GatewayClient.browser_token`."""
        return self._run(self._fresh().browser_token(transaction_id))

    def credentials(self, user_id: str) -> list[CredentialView]:
        """See `GatewayClient.credentials`."""
        return self._run(self._fresh().credentials(user_id))

    def enable_credential(self, credential_id: str) -> CredentialView:
        """See `GatewayClient.enable_credential`."""
        return self._run(self._fresh().enable_credential(credential_id))

    def disable_credential(self, credential_id: str) -> CredentialView:
        """See `GatewayClient.disable_credential`."""
        return self._run(self._fresh().disable_credential(credential_id))

    def delete_credential(self, credential_id: str) -> None:
        """See `GatewayClient.delete_credential`."""
        self._run(self._fresh().delete_credential(credential_id))

    def delete_user(self, user_id: str) -> None:
        """See `GatewayClient.delete_user`."""
        self._run(self._fresh().delete_user(user_id))
