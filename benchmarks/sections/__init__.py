"""The sections of docs/performance.md. Each is a module with `measure(sizes, start)`, which returns its text."""
