class TrainingStopped(Exception):
    """Training ended early, for the reason in the message; what was saved before is whole. `status`: of the process,
    128 and the signal's number if it was a signal."""

    def __init__(self, message, status=1):
        super().__init__(message)
        self.status = status
