"""What is seen from outside: the access, security and error logs, and the metrics."""
