"""THE LOOP. Values are passed along; only stored facts join the two halves.

            ┌────────────────────── answering, milliseconds ───────────┐
 request ─► route ─► predict ─► log ══ storage.Log ══╗                 │
              ▲                                      ║                 │
              ║                          outcome ════╝                 │
   storage.Ledger ◄═ promote ◄─ decide ◄─ Evidence ◄─ steps 1..5 ◄═ Log│
            └────────────────────── judging, minutes ──────────────────┘

`answer` composes route, predict and log, and is the only stage that imports others.
"""
