"""python -m aster.tools"""
from aster import command
from aster.tools import main

command.run(main)
