"""SEAM 3. Where predictors run: `inline` in this process, `worker` in a child process that may hang or crash."""
