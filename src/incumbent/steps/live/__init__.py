"""Step 3. Is the challenger better on live traffic, and if a version got worse: why?

    plan         before it begins: what could it show, in days?  growth: what a split knows after so many of them
    sums         what of the log a look needs: the plan of the sums
    trial        sums of the log in, one Evidence out: split by units, shadow by blocks of time
    gain         what one arm gains on another, from exact moments; less what was known before (CUPED)
    pairs        the same where both versions score the same rows, by blocks of time
    measures     the row loss, and the outcomes beside it
    bounds       how sure the gain is, at every look
    horizon      where the bounds are tightest, and at how many units an undecided trial stops
    arms         the split itself: shares, units in both arms, labels of one arm only
    guardrails   failed and late answers, outcomes that must not be harmed
    outlook      what a decision still waits for, in words
    verdict      invalid, roll_back, promote, stop or continue: the first match wins
    looks        which looks are recorded, under which settings; the picture's points, the table
    watch        a replaced version beside its successor; the record of a recipe
    lookback     without a trial: what would another policy have earned on logged decisions?
    simulating   how often a trial is wrong, and how soon right: made-up ones, and the user's own log
    segments     where the gain comes from: exploratory, decides nothing
    why          an ordered checklist over plain columns: measurement, implementation, skew, drift

Reads no store and changes nothing: `project` hands over sums and rows, `loop.decide` acts on the evidence.
"""
