"""One measurement a file. Each is a function from a Bench and the peers to samples; none prints."""
