"""The simulated TW FidO platform (IdP): SP-API-ATH-01 to 04, LF-01, and what the app asks of it.

It knows relying systems, people, bound devices by their public keys, and tickets. It holds no
private key of a phone. The web redirect (WEB-01) is not here yet.
"""
