"""Where units of work run: this process, a pool of processes, or a Dask cluster."""
