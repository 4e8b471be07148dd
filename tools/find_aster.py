"""Makes `import aster` work where the library is not installed: the checkout around tools/ has it.

A tool imports this module before it imports aster. An installed aster comes first.
"""
import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
