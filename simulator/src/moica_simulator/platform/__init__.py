"""The simulated TW FidO platform (IdP): SP-API-ATH-01, 02, 03, and what the app asks of it.

It knows relying systems, people, bound devices by their public keys, and tickets. It holds no
private key of a phone. Batches, device status and the web redirect are not here yet.
"""
