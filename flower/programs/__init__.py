"""The built-in programs: the ancestor's three, and `hello`."""
