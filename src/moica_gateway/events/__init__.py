"""Who hears of a change: waiting windows in this process (and, on PostgreSQL, in others)."""
