"""`train`: the program of those who use a deployed stack, from its outputs and with their own AWS credentials.

It imports the standard library, typer, rich, boto3 and itself; nothing of the project's other rooms, and no Pulumi.
"""
