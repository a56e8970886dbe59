"""Test a classifier on labelled videos, and say how good the result is: `marey.evaluate`.

In reading order:

- `run`: `evaluate`, the test of a network on a list of videos
- `views`: all views of one video through the network, and their average
- `result`, `scores`, `protocol`: what a test gives, as values and as files
- `primary_metric`: the first metric of a result with its interval and baseline, in words
- `compare`: a result next to the published and measured numbers of its recipe
- `resumable`, `tested_list`: the saved state of an interrupted test, and the list of the tested videos
- `time_estimate`, `long_videos`: the expected duration, printed before a test, and a notice on long videos after it
- `fusion`: the scores of several networks, fused
- `paired_difference`: whether one set of predictions is better than another for the same videos
- `out_of_fold`: results of classifiers that were fitted and tested on the same list, fold by fold
- `report`: the page report.html of a run

The metrics themselves are in `marey.tasks.metrics`, because each task chooses its own.

It exports nothing; import from its modules.

May import: base, video, data, models, recipe, classifier, weights, tasks, backends.
"""
