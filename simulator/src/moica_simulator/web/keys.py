"""What handlers find in the application."""

from aiohttp import web

from moica_simulator.core import SimulatorCore

__all__ = ["CORE", "PUBLIC_URL"]

CORE = web.AppKey("CORE", SimulatorCore)
PUBLIC_URL = web.AppKey("PUBLIC_URL", str)
