"""`python -m moica_simulator` is the command `moica-simulator`."""

from moica_simulator.cli import main

main(prog_name="moica-simulator")
