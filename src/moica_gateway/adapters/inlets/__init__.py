"""Ways in besides the HTTP API: folders and CSC, in later versions."""
