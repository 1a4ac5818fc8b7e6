"""What the flow tests are made of: the whole gateway in memory, and the two sides it stands between.

`wire` is a TCP connection as Twisted's transports behave, with a clock for a network; `peer` is who is at its other
end, and what makes a test read like a playbook; `flow` builds the gateway from the text of a configuration;
`scripted` has filters that do what a test says.
"""
