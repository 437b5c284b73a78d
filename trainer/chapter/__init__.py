"""The tutorial chapter's examples, one small file each.

An example is a generator `show` that yields lines of text and (name, value)
pairs; its YAML file gives the expected value for each name. Examples in
conf/chapter/ take the keys of their file; those that train an Experiment.
"""
