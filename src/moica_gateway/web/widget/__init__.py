"""The browser widget: one file without framework, build step or foreign host."""
