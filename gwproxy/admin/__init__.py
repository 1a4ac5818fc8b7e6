"""The admin site: health, readiness, metrics and state, on an endpoint of its own."""
