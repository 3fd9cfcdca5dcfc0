"""How the processes of a measurement differ."""
