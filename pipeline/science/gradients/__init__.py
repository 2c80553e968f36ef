"""How gradients fade on their way back through the recurrence."""
