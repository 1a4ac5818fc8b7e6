"""gwproxy: an API gateway on Twisted."""
