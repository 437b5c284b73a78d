"""Guards: one function per mistake. Each looks at plain things, a model or a batch or a curve, and returns findings.

They print nothing and never change a weight, buffer or mode; the caller decides what a finding means for the run.
Three of them call the user's code, and its errors pass through: `before.look` the model, `before.before_training` the
loss, `shared_rows` the dataset.
"""
