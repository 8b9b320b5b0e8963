"""The stack on this machine: the real program on Pulumi's mock engine, with moto as AWS.

Its public face is `local.stack_files` (read a stack), `local.engine` (run a program), `local.aws` and `local.cloud`
(an AWS in this process).
"""
