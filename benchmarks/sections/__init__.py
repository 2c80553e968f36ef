"""What is measured: a section of docs/performance.md is a module with `measure(sizes, start)`, which gives its text."""
