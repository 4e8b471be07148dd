"""What TensorFlow's errors say."""


def cause(error):
    """The line that says what happened, of an error whose message may hold a whole stack trace."""
    lines = [line.strip() for line in (getattr(error, "message", None) or str(error)).splitlines() if line.strip()]
    for before, line in zip(lines, lines[1:]):
        if line.startswith("[[{{node"):
            return before
    lines = [line for line in lines if line != "Graph execution error:"]
    return lines[0] if lines else type(error).__name__
