"""How well search finds runbooks: questions of our own, half to tune on and half held back (docs/search.md)."""
