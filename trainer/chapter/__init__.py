"""The tutorial chapter's examples, one small file each.

An example is a generator `show` that yields lines of text and (name, value)
pairs; its YAML file expects a value under each of those names. One in
conf/chapter/ takes the keys of that file, one that trains its Experiment.
"""
