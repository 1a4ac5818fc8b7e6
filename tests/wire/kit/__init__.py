"""What the wire tests are made of: a client and an upstream of raw bytes, and the gateway as a process between them."""
