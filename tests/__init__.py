"""Tests. This is a package since some distributions install a package `tests`, which Python would find instead."""
