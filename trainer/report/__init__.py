"""Reports: results.png and report.html of a run or a sweep, made from its folder, and one hint."""
