"""Arrays and models in, arrays and numbers out."""
