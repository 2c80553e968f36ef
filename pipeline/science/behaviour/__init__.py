"""How trained networks respond to changed input."""
