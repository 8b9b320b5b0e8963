"""What ends a command early."""


class TrainError(Exception):
    """What cannot be used or asked; each line of the message is one mistake."""
