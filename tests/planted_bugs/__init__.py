"""Layers and losses with one bug each: the mistakes that people make when they write a backward pass by hand.

Every class is derived from the right version of itself. The names say what is wrong.
"""
