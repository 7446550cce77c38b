"""SEAM 1. Where facts are kept: a Log of predictions and outcomes, a Ledger of decisions, Blobs of bytes.

`base` states the contracts once, in prose with the edge cases; `incumbent.checks` tests them once; each body
(`sqlite`, `files`) inherits both. Stores only sum and count integers, so every store gives the same bytes.
"""
