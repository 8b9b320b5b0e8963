"""The AWS of this machine: a provider over moto, its two drivers, a record per resource type, the command line.

It imports `stack_file`, and none of the other rooms: it runs the program, the worker and the policy pack by their
folders. Its public face is `local.stack_files` (read a stack), `local.engine` (run a program), `local.aws` (an AWS) and
`local.provider`.
"""
