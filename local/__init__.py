"""AWS on this machine: a provider that uses moto, two drivers for it, a record per resource type, the command line.

It imports `stack_file` and no other folder of the project: it runs the program, the worker and the policy pack by their
paths. Other folders use `local.stack_files` (read a stack), `local.engine` (run a program), `local.aws` (an AWS) and
`local.provider`.
"""
