"""The writer's process, at the other end of a stage's pipe."""

import json
import os
import sys

from pipeline.record.tracking import live, store

if __name__ == "__main__":
    os.nice(10)  # training comes first
    try:
        live.write(json.loads(line) for line in sys.stdin)
    except Exception as error:
        store.warn(error)
