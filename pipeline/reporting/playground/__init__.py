"""The page on which trained networks read any text, in the browser."""
