"""Whether networks sum up words along one slow direction of their state."""
