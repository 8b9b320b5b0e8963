"""Whether what a deployed stack exports is there and healthy, as its users find it.

It asks the AWS that the caller's environment points at, real or local, and needs no stack file and no Pulumi. Each
check is a line: passed, failed, a warning, or not checked. Nothing is changed unless a round trip is asked for.
"""
