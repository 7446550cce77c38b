"""Step 3. Is the challenger better on live traffic, and if a version got worse: why?

    trial        sums of the log in, one Evidence out: split by units, shadow by blocks of time, watch shadow
    bounds       how sure the gain is, at every look
    guardrails   the split itself, and answers that failed
    verdict      invalid, roll_back, promote, stop or continue: the first match wins
    segments     where the gain comes from: exploratory, decides nothing
    why          an ordered checklist over plain columns: measurement, implementation, skew, drift

Reads no store and changes nothing: `project` hands over sums and rows, `loop.decide` acts on the evidence.
"""
