"""The writer's process, at the other end of a stage's pipe."""

import gc
import json
import os
import sys

from pipeline.tracking import live, store

if __name__ == "__main__":
    os.nice(10)  # training comes first
    gc.disable()  # a short life, half of which is MLflow's import: a sixth of that would be garbage collection
    try:
        live.write(json.loads(line) for line in sys.stdin)
    except Exception as error:
        store.warn(error)
