"""Path and revocation against the simulator's CA: partitions, complete list, delegated OCSP."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificates

from moica_gateway.app import SystemClock, SystemRandom
from moica_gateway.egress import EgressClient, allow_all_but_loopback, allow_loopback_too
from moica_gateway.trust import CrlStore, OcspClient, Revocation, RevocationPolicy, sort_authorities
from moica_gateway.trust.crl import distribution_points
from moica_gateway.trust.ocsp import responders
from moica_gateway.trust.path import PathFinder
from moica_simulator import KeyPool, Simulator

pytestmark = pytest.mark.asyncio(loop_scope="module")

ID_NUMBER = "A123456789"
P = RevocationPolicy


@define
class Hall:
    """The simulator, its authorities, and a way to it."""

    simulator: Simulator
    root: x509.Certificate
    issuer: x509.Certificate
    egress: EgressClient
    device: str

    @property
    def host(self) -> str:
        """Of CRLs and OCSP."""
        return self.simulator.url.removeprefix("http://")

    def fresh(self, policy: RevocationPolicy, egress: EgressClient | None = None) -> Revocation:
        """With nothing in memory."""
        way, clock = egress or self.egress, SystemClock()
        crls = CrlStore(way, clock, hosts=(self.host,))
        ocsp = OcspClient(way, clock, SystemRandom(), hosts=(self.host,), crls=crls)
        return Revocation(crls, ocsp, policy)

    async def new_certificate(self) -> x509.Certificate:
        """Of the one phone; whatever it had before keeps its own standing."""
        device = await self.simulator.renew(self.device)
        assert device.certificate is not None
        return x509.load_der_x509_certificate(device.certificate)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hall() -> AsyncIterator[Hall]:
    """One CA for all."""
    async with Simulator.start(fast=True, keys=KeyPool()) as simulator:
        await simulator.add_person(ID_NUMBER, "王小明")
        root, issuer = load_pem_x509_certificates(simulator.anchors_pem.encode())
        egress = EgressClient(allow=allow_loopback_too)
        device = await simulator.bind_device(ID_NUMBER)
        yield Hall(simulator, root, issuer, egress, device.id)
        await egress.close()


@pytest.mark.parametrize("policy", [p for p in P if p is not P.CRL_IF_AVAILABLE])
async def test_revoked_suspended_and_reinstated_certificates_are_told(
    hall: Hall, policy: RevocationPolicy
) -> None:
    """By every policy: good, 停用, 復用, 廢止, each as lists and responder say it by then."""
    certificate = await hall.new_certificate()
    serial = f"{certificate.serial_number:x}"

    async def revoked() -> bool | None:
        return (await hall.fresh(policy).status(certificate, hall.issuer)).revoked

    assert await revoked() is False
    hall.simulator.suspend(serial)
    assert await revoked() is True
    hall.simulator.reinstate(serial)
    assert await revoked() is False
    await hall.simulator.revoke(serial, reason="keyCompromise")
    assert await revoked() is True


async def test_the_intermediate_is_looked_up_in_the_roots_list(hall: Hall) -> None:
    """It names no responder: OCSP alone leaves it unknown."""
    for policy, revoked in ((P.CRL, False), (P.CRL_THEN_OCSP, False), (P.OCSP, None)):
        found = await hall.fresh(policy).status(hall.issuer, hall.root, of_authority=True)
        assert found.revoked is revoked


async def test_the_complete_list_serves_where_the_partition_is_out_of_reach(hall: Hall) -> None:
    """The partition's address is another host's here; the complete list is asked for next."""
    certificate = await hall.new_certificate()
    serial = f"{certificate.serial_number:x}"
    await hall.simulator.revoke(serial)
    partition, complete = distribution_points(certificate)
    assert "complete" in complete[0]
    asked: list[str] = []

    class Half(EgressClient):
        async def request(self, method, url, **more):  # type: ignore[no-untyped-def]
            asked.append(url)
            target = f"{url}.gone" if url in partition else url
            return await super().request(method, target, **more)

    egress = Half(allow=allow_loopback_too)
    found = await hall.fresh(P.CRL, egress).status(certificate, hall.issuer)
    await egress.close()
    assert found.revoked is True
    assert asked == [*partition, *complete]


async def test_a_list_that_is_kept_hides_nothing_once_it_was_refreshed(hall: Hall) -> None:
    """Within a list's life the old word counts (its authority says so); the refresh brings the
    new one, and the number goes up."""
    certificate = await hall.new_certificate()
    crls = CrlStore(hall.egress, SystemClock(), hosts=(hall.host,))
    before = await crls.status(certificate, hall.issuer)
    assert before.revoked is False
    await hall.simulator.revoke(f"{certificate.serial_number:x}")
    assert (await crls.status(certificate, hall.issuer)).revoked is False
    for seen in crls._seen.values():
        seen.due = datetime.now(UTC)
    await crls.refresh()
    after = await crls.status(certificate, hall.issuer)
    assert after.revoked is True
    number = [int(s.detail.split()[2]) for s in (before, after)]
    assert number[1] > number[0]


async def test_the_path_is_found_with_root_and_intermediate_from_one_folder(
    hall: Hall, tmp_path: Path
) -> None:
    """And at the moment of signing: not before the certificate begins, not after it ends."""
    certificate = await hall.new_certificate()
    authorities = [c.public_bytes(Encoding.DER) for c in (hall.issuer, hall.root)]
    finder = PathFinder(sort_authorities(authorities))
    leaf = certificate.public_bytes(Encoding.DER)
    found = await finder.find(leaf, certificate.not_valid_before_utc)
    assert (found.root, found.chain) == (authorities[1], (authorities[0],))
    late = certificate.not_valid_after_utc.replace(year=certificate.not_valid_after_utc.year + 1)
    assert (await finder.find(leaf, late)).failure is not None


# -- through a proxy ---------------------------------------------------------------------------


@define
class Proxy:
    """As small as one can be: takes absolute addresses, and writes down which."""

    asked: list[str] = field(factory=list)
    credentials: set[str | None] = field(factory=set)

    async def handle(self, request: web.Request) -> web.Response:
        """Passes on what came."""
        self.asked.append(f"{request.method} {request.url.path}")
        self.credentials.add(request.headers.get("Proxy-Authorization"))
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                request.method,
                request.url,
                data=await request.read(),
                headers={"Content-Type": request.headers.get("Content-Type", "x/y")},
            ) as reply,
        ):
            return web.Response(status=reply.status, body=await reply.read())


async def test_lists_and_answers_come_through_the_proxy_that_is_set(
    hall: Hall, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, with its password; and never through one that the environment names."""
    certificate = await hall.new_certificate()
    await hall.simulator.revoke(f"{certificate.serial_number:x}")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    proxy, app = Proxy(), web.Application()
    app.router.add_route("*", "/{tail:.*}", proxy.handle)
    async with TestServer(app) as server:
        egress = EgressClient(
            allow=allow_loopback_too, proxy=f"http://user:secret@127.0.0.1:{server.port}"
        )
        found = await hall.fresh(P.CRL_AND_OCSP, egress).status(certificate, hall.issuer)
        await egress.close()
        # A literal target that the policy refuses is refused before the proxy hears of it.
        strict = EgressClient(allow=allow_all_but_loopback, proxy=f"http://127.0.0.1:{server.port}")
        refused = await hall.fresh(P.CRL, strict).status(certificate, hall.issuer)
        await strict.close()
    assert found.revoked is True
    assert sorted(proxy.asked) == sorted(
        [
            f"GET {distribution_points(certificate)[0][0].partition(hall.host)[2]}",
            f"POST {responders(certificate)[0].partition(hall.host)[2]}",
        ]
    )
    assert len(proxy.credentials) == 1
    assert None not in proxy.credentials
    assert refused.revoked is None
    assert "address" in refused.detail
    direct = await hall.fresh(P.CRL).status(certificate, hall.issuer)
    assert direct.revoked is True


# -- a judge that is not us --------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
async def test_openssl_says_the_same_of_the_simulators_ca(hall: Hall, tmp_path: Path) -> None:
    """``openssl verify -crl_check`` with the partition's list, ``openssl ocsp`` at the responder:
    a good certificate and a revoked one."""
    good, bad = await hall.new_certificate(), await hall.new_certificate()
    await hall.simulator.revoke(f"{bad.serial_number:x}")
    (tmp_path / "root.pem").write_bytes(hall.root.public_bytes(Encoding.PEM))
    (tmp_path / "issuer.pem").write_bytes(hall.issuer.public_bytes(Encoding.PEM))
    for certificate, expected in ((good, False), (bad, True)):
        (tmp_path / "holder.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        url = distribution_points(certificate)[0][0]
        body = (await hall.egress.request("GET", url)).body
        crl = x509.load_der_x509_crl(body)
        (tmp_path / "list.pem").write_bytes(crl.public_bytes(Encoding.PEM))
        verify = await _openssl(
            tmp_path,
            *("verify", "-crl_check", "-extended_crl", "-CAfile", "root.pem"),
            *("-untrusted", "issuer.pem", "-CRLfile", "list.pem", "holder.pem"),
        )
        assert (verify.returncode == 0) is (not expected)
        assert ("certificate revoked" in verify.stderr) is expected
        ocsp = await _openssl(
            tmp_path,
            *("ocsp", "-url", responders(certificate)[0], "-CAfile", "root.pem"),
            *("-verify_other", "issuer.pem", "-issuer", "issuer.pem", "-cert", "holder.pem"),
        )
        assert "Response verify OK" in ocsp.stderr
        assert ("holder.pem: revoked" in ocsp.stdout) is expected
        ours = await hall.fresh(P.CRL_AND_OCSP).status(certificate, hall.issuer)
        assert ours.revoked is expected


async def _openssl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        ["openssl", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
