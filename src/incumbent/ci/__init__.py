"""What does a CI service get to see of the gate? Pure functions from an `Outcome` to text, and the files they end in.

    outcome      what the gate said, or why it could say nothing, as every output reads it
    text         the picture in characters: an interval against zero and the thresholds
    summary      Markdown, for a step summary or a comment
    junit        JUnit XML: a rule is a test case
    openmetrics  OpenMetrics text
    document     JSON, and KEY=value lines
    page         one self-contained HTML page; the picture alone as SVG or PNG
    places       which files are wanted, and what the service at hand expects
    files        one file, whole or not at all
    writing      all of them

Judges nothing and reads no store.
"""
