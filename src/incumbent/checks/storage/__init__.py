"""The contracts of `storage.base` as suites to inherit: LogChecks, LedgerChecks, BlobsChecks.

    arrivals   what becomes of predictions, shadows, outcomes and losses, in any order
    appending  the hot insert: without waiting, flushed when asked, tidied beside the traffic
    leaving    what is moved to Parquet, and what goes for good
    people     what people say: corrected with history, gone with its rows
    reading    what scan, reviews, totals and the sums give back, and that none looks into the future
    trials     the sums of a trial and of pairs, at any mark
    sharing    threads, processes, closing and opening again
    plain      the sums computed the long way from lists: what every body is compared with (`plain_trial`: a trial's)
"""

from incumbent.checks.storage.appending import AppendingChecks
from incumbent.checks.storage.arrivals import ArrivalChecks
from incumbent.checks.storage.blobs import BlobsChecks
from incumbent.checks.storage.leaving import LeavingChecks
from incumbent.checks.storage.ledger import LedgerChecks
from incumbent.checks.storage.people import PeopleChecks
from incumbent.checks.storage.reading import ReadingChecks
from incumbent.checks.storage.sharing import SharingChecks
from incumbent.checks.storage.trials import TrialChecks


class LogChecks(
    AppendingChecks, ArrivalChecks, ReadingChecks, SharingChecks, LeavingChecks, PeopleChecks, TrialChecks
):
    """The whole contract of a Log. Say `opener` (it must survive pickling, because child processes call it too) and
    `occupied`."""


__all__ = ["BlobsChecks", "LedgerChecks", "LogChecks"]
