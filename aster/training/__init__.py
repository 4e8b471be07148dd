class TrainingStopped(Exception):
    """Training ended early, for the reason in the message; what was saved before is whole."""
