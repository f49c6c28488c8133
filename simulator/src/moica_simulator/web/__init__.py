"""The aiohttp application: platform API, control API, PKI, and pages for people.

It has no rules of its own: it reads requests, calls the rooms, and writes their answers.
"""
