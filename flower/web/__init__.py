"""The HTTP interface. Parses, makes one call, answers."""
