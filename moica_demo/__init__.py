"""The demonstration: starts simulator, gateway and reference document system.

Standard library only, so that it runs before anything is installed.

``python -m moica_demo`` starts and waits; ``--auto`` plays the tour on a throw-away state.
"""
