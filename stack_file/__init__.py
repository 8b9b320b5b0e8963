"""A stack file as text: how it is read, where each value stands in it, and how a mistake in it is reported.

It imports no other folder of the project. Other folders use `reading` (a file), `mistakes` and `configuration` (the
configuration that the CLI reads from a file).
"""
