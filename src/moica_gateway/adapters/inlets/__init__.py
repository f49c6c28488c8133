"""Inlets: how requests come in besides the HTTP API (folders and CSC, in later versions).

An inlet may use domain, services and ``wire``; it has no rules of its own, and speaks to the
services as an API key would: with a `Caller` of one tenant and its scopes.
"""
