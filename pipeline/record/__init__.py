"""Where effects live: reviews come from, files lie, work runs, and MLflow hears."""
