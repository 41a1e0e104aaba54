"""All SQL of Flower, as files: migrations/, functions/, queries/."""
