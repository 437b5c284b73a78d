"""What the fork server finds out for the jobs of a sweep that the user typed: the commit and what has changed since,
once for them all. For a stranger's sweep nobody asks, see summary.git_commit."""

from trainer.run import git_diff, summary

summary.git_commit()
git_diff.changes()
