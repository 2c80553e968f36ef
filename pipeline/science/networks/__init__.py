"""The four architectures: built, trained and asked."""
