"""What runs an accelerated part: one module for each runtime, and the table of backends."""
