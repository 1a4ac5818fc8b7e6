"""State shared by several gateways: Redis."""
