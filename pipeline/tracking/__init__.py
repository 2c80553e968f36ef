"""MLflow and nothing else: live runs while a stage trains, and the store made equal to the files."""
