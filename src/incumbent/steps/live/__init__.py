"""Step 3. Is the challenger better on live traffic, and if a version got worse: why?

    trial     sums of the log in, one Evidence out: split by units, shadow by blocks of time, the watch shadow
    verdict   which of invalid, roll_back, promote, stop, continue it is: the first match wins, at every look
    why       an ordered checklist over plain columns: measurement, implementation, skew, drift, with its share

Reads no store and changes nothing: `project` hands over sums and rows, `loop.decide` acts on the evidence.
"""
