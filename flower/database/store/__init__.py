"""One module per noun; each method sends one file of sql/queries and adds types to it."""
