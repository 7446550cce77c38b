"""The statistics of the five steps: arrays or sums in, frozen results out.

Nothing here knows a store, a clock or a verdict: steps and `loop.decide` turn these numbers into decisions.
`metrics` needs numpy alone, because it also runs where requests are answered; everything else may use scipy.
Import the file that you need (`from incumbent.stats import compare`): the room itself loads nothing.

    metrics      what is a good prediction: row losses, in floats and in stored integers
    compare      is one version better than another on the same rows?
    sequential   the same question at every look: confidence sequences, the share test, the split itself
    share        how sure are we of a share (errors, disagreements, agreement with a label)?
    profile      what does a column look like? counts that add up
    drift        has it changed, surely and by much?
    skew         which unit, shift, default or renaming explains two values of one cell?
    calibration  does .8 happen eight times in ten?
    latency      quantiles of timings with bounds that need no distribution
    agreement    do reviewers agree beyond chance?
"""
