"""Hostile input by the hundred thousand: every parser of the gateway, mutated from good seeds."""
