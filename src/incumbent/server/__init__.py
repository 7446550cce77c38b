"""DOOR 1, for programs: HTTP.

edge        what every request passes, whichever door it is for
access      may it pass? tokens with scopes, and no other site's pages
tracing     the id of a request, and the lines of the log
numbers     those of every answering process, in one small file each
metering    /metrics: what Prometheus reads of them
replying    one answer as ASGI sends it
wire        JSON bodies in, requests and outcomes out; answers in, JSON bytes out
refusing    every error as one JSON shape and a status
quick       the quick way of a prediction, with no task in between
limits      how much may be asked at once
patience    how long a client may take to ask
door        the ASGI application: paths, limits, and the work beside the answers
reading     what can be read: status, versions, ledger, trials, health
control     the verbs that change who answers: promote, roll back, enrol more units
proving     does a version repeat its golden rows? in this process, or in one of its own
openapi     the document that describes all of it
listening   the address: may it be, is it free
serving     one process that answers, and an orderly end
supervising n of them and one ticker, kept alive behind one socket
answering   one of them, from its side
keeping     the keeper: moves rows from the journals into the log
lifeline    a child that ends when its parent is gone
"""
