"""The use cases: domain rules carried out through the ports. No HTTP, no SQL, no protocol words."""
