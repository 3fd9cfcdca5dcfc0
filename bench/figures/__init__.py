"""Figures of one run. Each is a folder: its numbers, the words about them, and the drawing. `kinds` lists them."""
