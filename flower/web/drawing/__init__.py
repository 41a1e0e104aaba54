"""Draws on the server: from values to the shapes of an SVG picture. Knows neither HTTP nor the database."""
