"""The nouns and rules of the house; pure, and imports nothing but ``errors``."""
