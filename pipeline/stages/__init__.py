"""The stages of dvc.yaml, one module per stage. Each reads files, calls pipeline/science and writes files."""
