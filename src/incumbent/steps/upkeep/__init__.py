"""Step 5. Is it still right, and who says so?

    retrain   is a refit due, and which rows may it be trained on?
    rows      are those rows whole? A broken feed blocks the refit
    review    which predictions go to a person, and what do their answers say about all of them?

Each takes facts and gives evidence or rows to act on; nothing is fitted, promoted or stored here.
"""
