"""How a document system plugs in: outlets (results leave), inlets (requests come in)."""
