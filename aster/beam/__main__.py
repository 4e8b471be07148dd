"""python -m aster.beam"""
import logging

from aster import command


def main() -> None:
    """Imports the commands where `command.run` can say that Apache Beam is missing, and runs one."""
    logging.disable(logging.WARNING)  # Apache Beam warns of each optional package that it does not find
    from aster.beam import commands
    logging.disable(logging.NOTSET)
    commands.main()


if __name__ == "__main__":  # a worker process may import it
    command.run(main)
