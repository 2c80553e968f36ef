"""Where each artifact lies and how it is read and written."""
