"""The command line: the only place where time, environment and the terminal come in."""
