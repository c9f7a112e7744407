"""Measured speed: this collection beside its peer and beside the least that the work can cost."""
