"""The process that writes the live runs of a stage. live_runs.py starts it and sends it messages on stdin."""

import gc
import json
import os
import sys

from pipeline.tracking import live_runs, mlflow_store

if __name__ == "__main__":
    os.nice(10)  # training comes first
    gc.disable()  # importing MLflow takes half of this short life, and garbage collection would be a sixth of that
    try:
        live_runs.write(json.loads(line) for line in sys.stdin)
    except Exception as error:
        mlflow_store.warn(error)
