"""Plain nn.Modules with plain keyword arguments. They never see a config.

A model that ships also has its keys in config/options/model.py and a file in conf/model/.
"""
