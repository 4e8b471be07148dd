"""ASTER: scene-text recognition with flexible rectification (Shi et al., PAMI 2018)."""

__version__ = "0.1.0"
