"""Guards: one function a trap. Each looks at plain things, a model or a batch or a curve, and returns findings.

They raise nothing, print nothing and change nothing; who calls them decides what a finding costs.
"""
