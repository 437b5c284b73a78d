"""Plain nn.Modules with plain keyword arguments. They never see a config."""
