"""The stages of dvc.yaml, one file each: it reads files, calls science and writes files."""
