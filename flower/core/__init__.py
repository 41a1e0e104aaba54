"""The words of Flower: values, states, settings and errors. Imports nothing else of ours."""
