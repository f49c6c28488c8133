"""Outlets: how results leave to a document system.

An outlet implements `moica_gateway.ports.Outlet`: one attempt for one message, never a retry of its
own, and no exception but ``CancelledError``; trouble is a `DeliveryFailed` whose short reason shows
nothing of the message or of the receiver's answer. Outlets know domain and ports only.
"""
