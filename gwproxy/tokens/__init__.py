"""Tokens that others signed: their keys, where those come from, and how a token is judged. Knows no requests."""
