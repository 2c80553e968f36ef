"""All code that uses MLflow: it writes live runs while a stage trains, and makes the store equal to the files."""
