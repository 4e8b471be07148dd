"""The trained model that comes with the library."""
import os

ENGLISH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "english")
SAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "samples")
