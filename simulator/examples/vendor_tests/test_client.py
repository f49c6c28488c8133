"""A vendor's tests of that client: `pip install moica-simulator`, then `pytest`."""

import pytest
from client import Client

DOCUMENT = "公文第 1153000165 號".encode()


def test_the_holder_signs(moica_platform, moica_phone, moica_service_provider):
    client = Client(*moica_service_provider[:3])
    asked = client.push(moica_phone.id_number, DOCUMENT)
    request = moica_platform.wait_for_request(moica_phone.id)
    moica_platform.confirm(moica_phone.id, request.sp_ticket_id)
    assert client.result(asked)["signed_response"]


@pytest.mark.moica_person(on_request="refuse")
def test_the_holder_refuses(moica_platform, moica_phone, moica_service_provider):
    client = Client(*moica_service_provider[:3])
    asked = client.push(moica_phone.id_number, DOCUMENT)
    moica_platform.settle()
    with pytest.raises(RuntimeError, match="APP_USER_CANCEL"):
        client.result(asked)


@pytest.mark.moica_fault("SP-API-ATH-03", code="DB_CONN_ERR")
def test_the_platform_fails_once(moica_phone, moica_service_provider):
    client = Client(*moica_service_provider[:3])
    with pytest.raises(RuntimeError, match="DB_CONN_ERR"):
        client.push(moica_phone.id_number, DOCUMENT)
    assert client.push(moica_phone.id_number, DOCUMENT)
