"""Fused modules: they compute what the network's own modules do, in fewer passes over memory."""
