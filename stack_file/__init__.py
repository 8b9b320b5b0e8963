"""A stack file as text: how it is read, where each value stands in it, and how a mistake in it is said.

It imports none of the other rooms. Its faces are `reading` (a file), `mistakes` and `configuration` (what the CLI makes
of a file).
"""
