"""Tests of the assumptions of a regression."""
