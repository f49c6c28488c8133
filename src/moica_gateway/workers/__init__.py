"""What runs by itself: asking for results, delivering events, housekeeping."""
