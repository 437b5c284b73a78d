"""Other ways to take the step of the loop: what stands here takes the place of loop.train_step."""
