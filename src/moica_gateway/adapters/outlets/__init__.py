"""Ways out: webhooks; folders in a later version."""
