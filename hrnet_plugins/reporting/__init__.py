"""A page about a training: curves, scores by class, what is taken for what, the best and the worst pictures."""
