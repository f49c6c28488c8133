"""The version, read by the build and shown by the pages."""

__version__ = "0.1.0"
