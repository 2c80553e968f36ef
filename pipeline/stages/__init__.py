"""The stages of dvc.yaml: each reads, calls and writes."""
