"""Training: the loop, data parallelism, optimizers, and what one watches of it."""


class TrainingStopped(Exception):
    """Training ended early, for the reason in the message. The checkpoints that were saved before are whole.

    Attributes:
      status: the process's exit status: 1, or 128 and the signal's number if it was a signal.
    """

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
