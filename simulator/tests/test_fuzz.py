"""Whatever JSON arrives with a right checksum, the platform answers with one of its codes."""

import base64
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moica_simulator import Simulator
from moica_simulator.checksum import AesKey, seal
from moica_simulator.codes import catalogue
from moica_simulator.errors import PlatformError
from moica_simulator.platform.idp import Finding
from moica_simulator.platform.wire import Interface, sp_payload

KEY = AesKey(bytes(range(32)))
KEY_BASE64 = base64.b64encode(KEY.raw).decode()
SERVICE_ID = "20261123090000000001"

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from(["", "\ud800", "\x00", "６０", "A123456789", "SIGN", "ATH", "I-SCAN", "60"])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
SIGN_INFO = st.fixed_dictionaries(
    {},
    optional={
        "sign_type": st.sampled_from(["PKCS#1", "PKCS#7", "RAW"]) | ANYTHING,
        "sign_data": st.sampled_from(["RE9D", "A" * 1025]) | ANYTHING,
        "tbs_encoding": st.sampled_from(["NONE", "base64"]) | ANYTHING,
        "hash_algorithm": st.sampled_from(["SHA1", "SHA256"]) | ANYTHING,
    },
)
BODIES = st.fixed_dictionaries(
    {"sp_service_id": st.just(SERVICE_ID)},
    optional={
        "transaction_id": st.uuids().map(str) | ANYTHING,
        "id_num": st.just("A123456789") | ANYTHING,
        "op_code": st.sampled_from(["ATH", "SIGN"]) | ANYTHING,
        "op_mode": st.sampled_from(["I-SCAN", "APP2APP"]) | ANYTHING,
        "hint": ANYTHING,
        "time_limit": st.integers(0, 700) | ANYTHING,
        "device_user_def_desc": ANYTHING,
        "sign_info": SIGN_INFO | ANYTHING,
        "sp_ticket_id": ANYTHING,
    },
)


@pytest.mark.parametrize("interface", list(Interface))
async def test_every_body_is_answered(interface: Interface, sim: Simulator) -> None:
    """No exception, and always success or a code of the catalogue, prefixed."""
    await sim.add_service_provider(SERVICE_ID, KEY_BASE64, "系統")
    await sim.add_person("A123456789", "王小明")
    await sim.bind_device("A123456789")

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(BODIES)
    def check(body: dict[str, Any]) -> None:
        try:
            sealed = {**body, "sp_checksum": seal(sp_payload(interface, body), KEY, bytes(12))}
        except PlatformError:
            sealed = {**body, "sp_checksum": "0" * 184}
        code = str(sim.idp.answer(interface, sealed, Finding()).code)
        assert code == "0" or code.removeprefix(f"{interface}-") in catalogue()
        sim.idp.id_number_of(sealed)

    check()
