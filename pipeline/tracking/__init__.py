"""MLflow and nothing else: live runs while a stage trains, and a store that is made equal to the files."""
