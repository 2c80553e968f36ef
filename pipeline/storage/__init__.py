"""Reading and writing: the files of a study, dvc.lock, review sources, and Optuna's and MLflow's addresses."""
