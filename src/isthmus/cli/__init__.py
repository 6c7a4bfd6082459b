"""The command line: one file per verb. Modules import what is heavy inside functions, so that `--help` is quick."""
