"""DOOR 2, for people: pages that show records.

    app         the addresses, and the headers that every page has
    dashboard   who answers, what runs, what the five steps found, the plan, the ledger
    versions    one version: what it takes, where it came from, what is known about it
    trial       a trial: its verdict, pictures, guardrails, phases, looks (looks: what evidence of one says)
    steering    the forms with which a person starts and steers trials, promotes, rolls back
    review      the rows that were drawn for people
    label       the row that a person labels blind, and what becomes of the answer (labelling: its addresses)
    pixels      a square of grey values as a picture
    evidence    where evidence lies on the ledger
    words       times, shares and numbers as people write them

Each page is a dictionary that is read from storage: the template shows it, and the `.json` twin is it.
Pages compute nothing, draw nothing and need no JavaScript (the page for labels has some, for its keys); the judging
path drew and stored the pictures.
"""
