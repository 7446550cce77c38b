"""Replay a project's own past through the real server, the real log and the real loop.

    client      a server in a child process, and a plain HTTP client
    replay      rows in the order of time; outcomes when they became known; a tick each midnight
    compare     what other policies would have scored on the same rows
    rehearsal   the whole story, from the baseline to the closing table

A rehearsal looks into no future: whatever it trains, gates or tries sees only what was known at that moment.
"""

from incumbent.rehearse.rehearsal import rehearse
from incumbent.rehearse.summary import Summary

__all__ = ["Summary", "rehearse"]
