"""One file a verb, each `run(words) -> exit code`, imported when typed."""
