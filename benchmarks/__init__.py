"""Benchmarks for airspeed velocity: the same calls on the compiled backend and on NumPy."""
