"""The aiohttp application: parses, checks who may, calls a service, shows. No rules of its own."""
