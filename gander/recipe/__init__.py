"""Recipes: schema, reading, writing. The names of the shipped ones come without torch."""
