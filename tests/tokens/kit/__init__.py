"""Makes tokens, good and forged."""
