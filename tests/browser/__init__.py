"""The flows of the manual, walked in a real browser."""
