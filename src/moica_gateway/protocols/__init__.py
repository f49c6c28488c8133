"""Upstreams: how a phone is asked and answers. Each package implements ``ports.Upstream``.

``twfido`` is the Ministry's SP API. What is common to all of them stands in ``ports``: there is no
base class, and no protocol imports another.
"""
