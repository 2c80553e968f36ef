"""The architectures: how they are built, trained and evaluated."""
