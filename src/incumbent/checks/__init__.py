"""Each seam's contract as a public test suite, run on every body, ours and other people's."""
