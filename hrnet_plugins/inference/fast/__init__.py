"""Twins of the network's modules that compute the same in fewer passes over memory."""
