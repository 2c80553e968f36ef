"""The writer's process, at the other end of a stage's pipe."""

import gc
import json
import os
import sys

from pipeline.tracking import live, store

if __name__ == "__main__":
    os.nice(10)  # training comes first
    gc.disable()  # half of this short life is MLflow's import, and garbage collection would be a sixth of that
    try:
        live.write(json.loads(line) for line in sys.stdin)
    except Exception as error:
        store.warn(error)
