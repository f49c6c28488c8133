"""The demonstration: starts simulator, gateway and reference document system; standard library only.

``python -m moica_demo`` starts and waits; ``--auto`` plays the tour on a throw-away state.
"""
