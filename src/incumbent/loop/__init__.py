"""THE LOOP. Values are passed along; only stored facts join the two halves.

            ┌────────────────────── answering, milliseconds ───────────┐
 request ─► route ─► predict ─► log ══ storage.Log ══╗                 │
              ▲                                      ║                 │
              ║                          outcome ════╝                 │
   storage.Ledger ◄═ promote ◄─ decide ◄─ Evidence ◄─ steps 1..5 ◄═ Log│
            └────────────────────── judging, minutes ──────────────────┘

    route      which version answers: a stable hash of the unit against the routes
    predict    ask it inside its deadline; if it fails or is late, the fallback answers
    log        ids, privacy and retries of what is kept
    shadow     what versions that did not answer say of the same rows, later
    answer     composes the four above and follows the ledger; no other stage imports another
    outcome    late truth finds its prediction by id; the row loss is computed here, once
    decide     all evidence in, one decision out
    promote    append the decision (in the words of `sentences`); a rollback is one more line
    asked      one caller's rows on their way from arrival to answer
    opening    versions are opened beside the traffic
    fold       who holds which place: a fold over the ledger
    meter      how much, how fast, how often: plain numbers of one process
    tokens     who may ask for what: another fold over it
    keep       old days move to Parquet, and older ones go
    erase      a unit, or an id, is forgotten; golden rows of it are replaced
"""
