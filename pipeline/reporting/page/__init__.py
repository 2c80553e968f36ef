"""The report as a page that needs no network, and as Markdown for a Git host."""
